"""Objects of the API server: what creating, reading and replacing one does."""

import json
from io import BytesIO

import pytest

from app.kubernetes.errors import KubernetesAlreadyExists, KubernetesConflict, KubernetesError, KubernetesNotFound
from app.kubernetes.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from tests.contract.api import config_map, deployment, make, put, refusal, send
from tests.contract.world import World


async def test_a_created_object_has_an_identity(world: World, namespace: str) -> None:
    """By its UID the service knows an object made anew under an old name."""
    made = await world.kube.create(CONFIG_MAPS, {"metadata": {"name": "one"}}, namespace)
    assert made["metadata"]["uid"]
    assert made["metadata"]["resourceVersion"].isdecimal()
    assert made["metadata"]["creationTimestamp"].endswith("Z")


async def test_a_second_object_of_the_name_is_refused(world: World, namespace: str) -> None:
    """409 with reason AlreadyExists, by which a step that runs again finds what it has made."""
    await make(world, namespace, "one")
    with pytest.raises(KubernetesAlreadyExists):
        await make(world, namespace, "one")


async def test_what_is_not_there_is_not_found(world: World, namespace: str) -> None:
    """404 for an object and for a type alike: ``find`` takes both for "there is none"."""
    with pytest.raises(KubernetesNotFound):
        await world.kube.get(CONFIG_MAPS, "none", namespace)
    assert await world.kube.find(Resource("none.example.com", "v1", "nones", "None", True), "x", namespace) is None


async def test_an_object_made_anew_has_another_uid(world: World, namespace: str) -> None:
    """The proof does not take a new object for the one of the inventory."""
    [before] = await make(world, namespace, "one")
    await world.kube.delete(CONFIG_MAPS, "one", namespace)
    [after] = await make(world, namespace, "one")
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_an_identity_that_is_sent_is_not_kept(world: World, namespace: str) -> None:
    """A Backup imported from the bucket's file is a new object here, whatever the file says."""
    [made] = await make(world, namespace, "one", uid="0f0f", creationTimestamp="2020-01-01T00:00:00Z")
    assert made["metadata"]["uid"] != "0f0f"
    assert not made["metadata"]["creationTimestamp"].startswith("2020")


async def test_versions_of_all_types_grow_together(world: World, namespace: str) -> None:
    """The proof compares resourceVersions as numbers: what was changed later has the higher one."""
    [first] = await make(world, namespace, "one")
    second = await world.kube.create(SECRETS, {"metadata": {"name": "two"}}, namespace)
    third = await world.kube.merge_patch(CONFIG_MAPS, "one", {"data": {"key": "new"}}, namespace)
    versions = [int(found["metadata"]["resourceVersion"]) for found in (first, second, third)]
    assert versions == sorted(set(versions))


async def test_an_object_put_with_an_old_version_is_refused(world: World, namespace: str) -> None:
    """409 with reason Conflict: nobody's change is overwritten unseen."""
    [before] = await make(world, namespace, "one")
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"data": {"key": "new"}}, namespace)
    with pytest.raises(KubernetesConflict):
        await put(world, CONFIG_MAPS, before)


async def test_an_object_put_unchanged_keeps_its_version(world: World, namespace: str) -> None:
    """Writing what is there already is no change, so a proof stays true and no watch wakes up."""
    [before] = await make(world, namespace, "one")
    after = await put(world, CONFIG_MAPS, before)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_generation_counts_changes_of_the_specification(world: World, namespace: str) -> None:
    """Waiting for workloads compares it with observedGeneration; a label is no rollout."""
    made = await world.kube.create(DEPLOYMENTS, deployment("one"), namespace)
    labelled = await world.kube.merge_patch(DEPLOYMENTS, "one", {"metadata": {"labels": {"a": "b"}}}, namespace)
    paused = await world.kube.merge_patch(DEPLOYMENTS, "one", {"spec": {"paused": True}}, namespace)
    assert [found["metadata"]["generation"] for found in (made, labelled, paused)] == [1, 1, 2]


async def test_a_generation_counts_annotations_of_deployments(world: World, namespace: str) -> None:
    """And of Deployments alone: a note of ours on one must be observed before it counts as ready again."""
    note = {"metadata": {"annotations": {"note": "ours"}}}
    await world.kube.create(DEPLOYMENTS, deployment("one"), namespace)
    await world.kube.create(
        STATEFUL_SETS, deployment("one") | {"kind": "StatefulSet", "apiVersion": "apps/v1"}, namespace
    )
    assert (await world.kube.merge_patch(DEPLOYMENTS, "one", note, namespace))["metadata"]["generation"] == 2
    assert (await world.kube.merge_patch(STATEFUL_SETS, "one", note, namespace))["metadata"]["generation"] == 1


async def test_a_new_workload_begins_without_a_status(world: World, namespace: str) -> None:
    """A restored Deployment does not look ready because it was, when it was backed up."""
    ready = deployment("one") | {"status": {"readyReplicas": 3, "replicas": 3}}
    made = await world.kube.create(DEPLOYMENTS, ready, namespace)
    assert "readyReplicas" not in made.get("status", {})


async def test_a_dry_run_stores_nothing(world: World, namespace: str) -> None:
    """The preflight asks whether a Backup would be taken, and leaves none behind."""
    made = await world.kube.create(CONFIG_MAPS, config_map("one"), namespace, dry_run=True)
    assert made["metadata"]["uid"]
    assert await world.kube.find(CONFIG_MAPS, "one", namespace) is None


async def test_a_namespace_must_be_there(world: World) -> None:
    """404, which the preflight takes for "the stack was never installed"."""
    with pytest.raises(KubernetesNotFound, match='namespaces "never-made" not found'):
        await make(world, "never-made", "one")


async def test_a_name_is_generated(world: World, namespace: str) -> None:
    """Deletion requests are made under names that nobody has to invent."""
    made = await world.kube.create(CONFIG_MAPS, {"metadata": {"generateName": "some-"}}, namespace)
    assert made["metadata"]["name"].startswith("some-")
    assert len(made["metadata"]["name"]) == len("some-") + 5


async def test_a_service_gets_an_address(world: World, namespace: str) -> None:
    """Velero reaches MinIO by it, and it is in the answer at once."""
    body = {"metadata": {"name": "one"}, "spec": {"ports": [{"port": 9000}]}}
    made = await world.kube.create(SERVICES, body, namespace)
    assert made["spec"]["clusterIP"].count(".") == 3
    assert made["spec"]["ports"] == [{"port": 9000, "targetPort": 9000, "protocol": "TCP"}]


async def test_a_workload_gets_its_defaults(world: World, namespace: str) -> None:
    """A Deployment always says how many pods it wants, also when its manifest does not."""
    made = await world.kube.create(DEPLOYMENTS, deployment("one", replicas=None, paused=True), namespace)
    assert made["spec"]["replicas"] == 1
    assert made["spec"]["strategy"]["type"] == "RollingUpdate"
    assert made["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] == "IfNotPresent"


async def test_a_selector_cannot_be_changed(world: World, namespace: str) -> None:
    """422: what a restore cannot update it must name, not silently skip."""
    await world.kube.create(DEPLOYMENTS, deployment("one"), namespace)
    patch = {"spec": {"selector": {"matchLabels": {"app": "other"}}}}
    with pytest.raises(KubernetesError) as refused:
        await world.kube.merge_patch(DEPLOYMENTS, "one", patch, namespace)
    assert refused.value.extras["http_status"] == 422


async def test_an_immutable_config_map_stays(world: World, namespace: str) -> None:
    """422 for its data; its labels may change, and Velero's restore labels do."""
    await world.kube.create(CONFIG_MAPS, config_map("one", key="old") | {"immutable": True}, namespace)
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"labels": {"a": "b"}}}, namespace)
    path = CONFIG_MAPS.path(namespace, "one")
    status, reason, _ = await refusal(world, "PATCH", path, {"data": {"key": "new"}}, "application/merge-patch+json")
    assert (status, reason) == (422, "Invalid")


@pytest.mark.parametrize("name", ["With-Capitals", "under_score", "-dash", "x" * 254])
async def test_a_bad_name_is_refused(world: World, namespace: str, name: str) -> None:
    """422 naming the field: a backup's name is checked by the same rule before it is journaled."""
    status, reason, message = await refusal(world, "POST", CONFIG_MAPS.path(namespace), config_map(name))
    assert (status, reason) == (422, "Invalid")
    assert "metadata.name" in message


async def test_a_label_has_at_most_63_characters(world: World, namespace: str) -> None:
    """So longer names of backups are cut and hashed before they become labels."""
    await make(world, namespace, "fits", labels={"name": "x" * 63})
    body = {"metadata": {"name": "too-long", "labels": {"name": "x" * 64}}}
    status, reason, message = await refusal(world, "POST", CONFIG_MAPS.path(namespace), body)
    assert (status, reason) == (422, "Invalid")
    assert "metadata.labels" in message


async def test_a_config_map_has_at_most_a_mebibyte(world: World, namespace: str) -> None:
    """The policy of a repair names objects in one ConfigMap: too many do not fit."""
    path = CONFIG_MAPS.path(namespace)
    fits = await send(world, "POST", path, config_map("fits", key="x" * 1_048_000))
    over = await send(world, "POST", path, BytesIO(json.dumps(config_map("over", key="x" * 1_049_000)).encode()))
    assert (fits.status, over.status, over.json["reason"]) == (201, 422, "Invalid")


async def test_annotations_have_at_most_a_quarter_mebibyte(world: World, namespace: str) -> None:
    """What we note on objects has to stay small."""
    body = {"metadata": {"name": "one", "annotations": {"note": "x" * 262_145}}}
    status, reason, message = await refusal(world, "POST", CONFIG_MAPS.path(namespace), body)
    assert (status, reason) == (422, "Invalid")
    assert "metadata.annotations" in message


async def test_a_secret_is_stored_in_base64(world: World, namespace: str) -> None:
    """Plain text that was sent reads back encoded; the service writes and reads ``data``."""
    made = await world.kube.create(SECRETS, {"metadata": {"name": "one"}, "stringData": {"key": "value"}}, namespace)
    assert made["data"] == {"key": "dmFsdWU="}
    assert "stringData" not in made
    assert made["type"] == "Opaque"


async def test_a_cluster_has_an_identity(world: World) -> None:
    """The UID of kube-system tells a recreated cluster from one that survived."""
    assert await world.kube.cluster_uid() == await world.kube.cluster_uid()
    assert len(await world.kube.cluster_uid()) == 36


async def test_a_namespace_is_labelled_with_its_name(world: World, namespace: str) -> None:
    """By that label webhooks select namespaces, so the preflight reads it."""
    found = await world.kube.get(NAMESPACES, namespace)
    assert found["metadata"]["labels"]["kubernetes.io/metadata.name"] == namespace
    assert found["status"]["phase"] == "Active"


async def test_a_namespace_is_furnished(world: World, namespace: str) -> None:
    """The ConfigMap that is in every namespace is left out of comparisons; pods need the account."""
    for resource, name in ((SERVICE_ACCOUNTS, "default"), (CONFIG_MAPS, "kube-root-ca.crt")):
        found = await world.kube.wait_for(
            resource, name, namespace, lambda found: found is not None, timeout_seconds=15
        )
        assert found is not None


async def test_replacing_another_identity_conflicts(world: World, namespace: str) -> None:
    """An object made anew under the name is not overwritten by who knew the old one."""
    (made,) = await make(world, namespace, "one")
    path = CONFIG_MAPS.path(namespace, "one")
    body = config_map("one") | {"metadata": {"name": "one", "uid": "00000000-0000-0000-0000-000000000000"}}
    status, reason, message = await refusal(world, "PUT", path, body)
    assert (status, reason) == (409, "Conflict")
    assert made["metadata"]["uid"] in message
