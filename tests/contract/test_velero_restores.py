"""What Velero does with a Restore: what comes back and how, what is skipped, and how it says so."""

from functools import partial
from typing import Any

import pytest

from app.kubernetes.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    PODS,
    REPLICA_SETS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Resource,
)
from app.storage import layout
from app.velero.models import BACKUP_NAME_LABEL, BACKUPS, RESTORES
from tests.contract.velero import VELERO, a_name, backup, config_map, document, keys, phase, policy, restore
from tests.contract.world import World
from tests.waiting import eventually

JOBS = Resource("batch", "v1", "jobs", "Job", namespaced=True)
RESTORE_NAME_LABEL = "velero.io/restore-name"
IMAGE = "docker.io/library/busybox:1.35"
CONTAINER = {"name": "main", "image": IMAGE, "command": ["sleep", "3600"]}


async def lose(world: World, resource: Resource, name: str, namespace: str) -> None:
    """Delete an object and wait until it is gone."""
    await world.kube.delete(resource, name, namespace, grace_seconds=0)
    await world.kube.wait_for(resource, name, namespace, lambda found: found is None, timeout_seconds=30)


async def results(world: World, of: dict[str, Any]) -> tuple[str, str]:
    """Errors and warnings of a restore as the bucket has them, each as one text."""
    found = await document(world, layout.restore_results_key(of["metadata"]["name"]))
    return str(found["errors"]), str(found["warnings"])


async def test_what_was_lost_comes_back_as_another_object(awake: World, namespace: str) -> None:
    """Same content, new identity, and labels that say where from."""
    before = await config_map(awake, namespace, metadata={"labels": {"mine": "kept"}, "annotations": {"a": "b"}})
    made = await backup(awake, namespace)
    await lose(awake, CONFIG_MAPS, "settings", namespace)
    done = await restore(awake, made)
    assert phase(done) == "Completed"
    after = await awake.kube.get(CONFIG_MAPS, "settings", namespace)
    assert (after["data"], after["metadata"]["annotations"]) == (before["data"], before["metadata"]["annotations"])
    assert after["metadata"]["uid"] != before["metadata"]["uid"]
    assert after["metadata"]["labels"] == {
        "mine": "kept",
        BACKUP_NAME_LABEL: made["metadata"]["name"],
        RESTORE_NAME_LABEL: done["metadata"]["name"],
    }


async def test_what_is_there_is_left_as_it_is(awake: World, namespace: str) -> None:
    """A warning when it differs, and none when it does not; a restore is no rollback."""
    await config_map(awake, namespace)
    made = await backup(awake, namespace)
    await awake.kube.merge_patch(CONFIG_MAPS, "settings", {"data": {"key": "newer"}}, namespace)
    done = await restore(awake, made)
    assert phase(done) == "Completed"
    assert (await awake.kube.get(CONFIG_MAPS, "settings", namespace))["data"] == {"key": "newer"}
    _, warnings = await results(awake, done)
    assert "settings" in warnings
    assert "in-cluster version is different" in warnings


async def test_update_brings_what_is_there_back_to_the_backup(awake: World, namespace: str) -> None:
    """By a patch: the object stays the same one."""
    before = await config_map(awake, namespace)
    made = await backup(awake, namespace)
    await awake.kube.merge_patch(CONFIG_MAPS, "settings", {"data": {"key": "newer"}}, namespace)
    done = await restore(awake, made, existingResourcePolicy="update")
    after = await awake.kube.get(CONFIG_MAPS, "settings", namespace)
    assert (phase(done), after["data"]) == ("Completed", {"key": "value"})
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"backupName": "never-made"}, "never-made"),
        ({"existingResourcePolicy": "replace"}, "replace"),
        ({"includedResources": ["nodes"]}, "nodes"),
        ({"labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{"matchLabels": {"c": "d"}}]}, "only one"),
        ({"includedNamespaces": ["one"], "excludedNamespaces": ["one"]}, "one"),
    ],
    ids=["unknown backup", "unknown policy", "nodes", "two selectors", "in and out"],
)
async def test_a_restore_that_cannot_be_is_refused(
    awake: World, namespace: str, spec: dict[str, Any], complaint: str
) -> None:
    """FailedValidation with reasons; nothing is restored."""
    await config_map(awake, namespace)
    made = await backup(awake, namespace)
    await lose(awake, CONFIG_MAPS, "settings", namespace)
    done = await restore(awake, made, **spec)
    assert phase(done) == "FailedValidation"
    assert complaint in " ".join(done["status"]["validationErrors"])
    assert await awake.kube.find(CONFIG_MAPS, "settings", namespace) is None


async def test_a_restore_takes_only_the_kinds_and_objects_asked_for(awake: World, namespace: str) -> None:
    """By kind, and by name through a filter policy: that is how a repair brings back exactly what is missing."""
    for name in ("one", "two"):
        await config_map(awake, namespace, name)
    await awake.kube.create(SECRETS, {"metadata": {"name": "one"}, "stringData": {"a": "b"}}, namespace)
    made = await backup(awake, namespace)
    for resource, name in ((CONFIG_MAPS, "one"), (CONFIG_MAPS, "two"), (SECRETS, "one")):
        await lose(awake, resource, name, namespace)
    filters = [{"kinds": ["configmaps"], "names": ["one"]}]
    reference = await policy(
        awake,
        {"version": "v1", "namespacedFilterPolicies": [{"namespaces": [namespace], "resourceFilters": filters}]},
    )
    await restore(awake, made, includedResources=["configmaps"], resourcePolicy=reference)
    assert await awake.kube.find(CONFIG_MAPS, "one", namespace) is not None
    assert await awake.kube.find(CONFIG_MAPS, "two", namespace) is None
    assert await awake.kube.find(SECRETS, "one", namespace) is None


async def test_owners_are_forgotten_and_finalizers_kept(awake: World, namespace: str) -> None:
    """An owner's identity is another one after a restore, so the link would have the object deleted."""
    owner = await config_map(awake, namespace, "owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    metadata = {"ownerReferences": [reference], "finalizers": ["contract.example.com/hold"]}
    await config_map(awake, namespace, "owned", metadata=metadata)
    made = await backup(awake, namespace)
    await awake.kube.merge_patch(CONFIG_MAPS, "owned", {"metadata": {"finalizers": None}}, namespace)
    await lose(awake, CONFIG_MAPS, "owned", namespace)
    await restore(awake, made)
    after = (await awake.kube.get(CONFIG_MAPS, "owned", namespace))["metadata"]
    assert "ownerReferences" not in after
    assert after["finalizers"] == ["contract.example.com/hold"]
    await awake.kube.merge_patch(CONFIG_MAPS, "owned", {"metadata": {"finalizers": None}}, namespace)


async def test_a_service_gets_a_new_address_and_a_headless_one_none(awake: World, namespace: str) -> None:
    """Addresses belong to the cluster; the comparison leaves them out."""
    ports = [{"port": 80}]
    for name, more in (("plain", {}), ("headless", {"clusterIP": "None"})):
        await awake.kube.create(SERVICES, {"metadata": {"name": name}, "spec": {"ports": ports} | more}, namespace)
    made = await backup(awake, namespace)
    for name in ("plain", "headless"):
        await lose(awake, SERVICES, name, namespace)
    assert phase(await restore(awake, made)) == "Completed"
    assert (await awake.kube.get(SERVICES, "plain", namespace))["spec"]["clusterIP"] not in {"", "None"}
    assert (await awake.kube.get(SERVICES, "headless", namespace))["spec"]["clusterIP"] == "None"


async def test_a_pod_without_a_controller_runs_again(awake: World, namespace: str) -> None:
    """A RunTask of KECS; it goes to a node as a new pod does."""
    spec = {"containers": [CONTAINER], "terminationGracePeriodSeconds": 0}
    await awake.kube.create(PODS, {"metadata": {"name": "task"}, "spec": spec}, namespace)
    await awake.kube.wait_for(PODS, "task", namespace, runs, timeout_seconds=30)
    made = await backup(awake, namespace)
    await lose(awake, PODS, "task", namespace)
    assert phase(await restore(awake, made)) == "Completed"
    await awake.kube.wait_for(PODS, "task", namespace, runs, timeout_seconds=30)


def runs(found: dict[str, Any] | None) -> bool:
    """Whether a pod does."""
    return phase(found or {}) == "Running"


async def test_what_has_finished_is_not_run_again(awake: World, namespace: str) -> None:
    """Succeeded pods and complete Jobs are in the backup, and stay there."""
    finished = CONTAINER | {"command": ["true"]}
    spec = {"containers": [finished], "restartPolicy": "Never"}
    await awake.kube.create(PODS, {"metadata": {"name": "done"}, "spec": spec}, namespace)
    await awake.kube.create(JOBS, {"metadata": {"name": "done"}, "spec": {"template": {"spec": spec}}}, namespace)
    await finish(awake, namespace)
    made = await backup(awake, namespace)
    await lose(awake, PODS, "done", namespace)
    await awake.kube.delete(JOBS, "done", namespace)
    await awake.kube.wait_for(JOBS, "done", namespace, lambda found: found is None, timeout_seconds=30)
    assert phase(await restore(awake, made)) == "Completed"
    assert await awake.kube.find(PODS, "done", namespace) is None
    assert await awake.kube.find(JOBS, "done", namespace) is None


async def finish(world: World, namespace: str) -> None:
    """Both to their ends; the sandbox runs no such programs, so there they are told so."""
    if world.name == "sandbox":
        ended = {"status": {"phase": "Succeeded"}}
        await world.http("PATCH", f"{PODS.path(namespace, 'done')}/status", ended, **MERGE)
        status = {
            "succeeded": 1,
            "completionTime": "2026-11-23T12:00:00Z",
            "conditions": [{"type": "Complete", "status": "True"}],
        }
        await world.http("PATCH", f"{JOBS.path(namespace, 'done')}/status", {"status": status}, **MERGE)
    await world.kube.wait_for(PODS, "done", namespace, lambda pod: phase(pod or {}) == "Succeeded", timeout_seconds=30)
    await world.kube.wait_for(
        JOBS, "done", namespace, lambda job: bool(((job or {}).get("status") or {}).get("completionTime")),
        timeout_seconds=30,
    )  # fmt: skip


MERGE = {"Content_Type": "application/merge-patch+json"}


async def test_a_deployment_comes_back_with_its_pods_once(awake: World, namespace: str) -> None:
    """Controllers make their pods anew; the ones of the backup are adopted or not needed."""
    labels = {"app": "web"}
    template = {
        "metadata": {"labels": labels},
        "spec": {"containers": [CONTAINER], "terminationGracePeriodSeconds": 0},
    }
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    await awake.kube.create(DEPLOYMENTS, {"metadata": {"name": "web"}, "spec": spec}, namespace)
    await awake.kube.wait_for(DEPLOYMENTS, "web", namespace, two_ready, timeout_seconds=30)
    made = await backup(awake, namespace)
    await lose(awake, DEPLOYMENTS, "web", namespace)
    await eventually(partial(no_pods, awake, namespace))
    assert phase(await restore(awake, made, excludedResources=["pods"])) == "Completed"
    await awake.kube.wait_for(DEPLOYMENTS, "web", namespace, two_ready, timeout_seconds=30)
    assert len((await awake.kube.list(PODS, namespace)).items) == 2


async def no_pods(world: World, namespace: str) -> bool:
    """Whether the last one is gone."""
    return not (await world.kube.list(PODS, namespace)).items


def two_ready(found: dict[str, Any] | None) -> bool:
    """Whether a Deployment has its two pods."""
    return ((found or {}).get("status") or {}).get("readyReplicas") == 2


async def test_a_lost_namespace_comes_back_with_all_that_was_in_it(awake: World, namespace: str) -> None:
    """Its labels too; the authority's ConfigMap that every namespace has is a warning at most, never an error."""
    await config_map(awake, namespace)
    await awake.kube.create(SECRETS, {"metadata": {"name": "keys"}, "stringData": {"a": "b"}}, namespace)
    namespaces = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
    await awake.kube.merge_patch(namespaces, namespace, {"metadata": {"labels": {"mine": "kept"}}})
    made = await backup(awake, namespace)
    await awake.kube.delete(namespaces, namespace)
    await awake.kube.wait_for(namespaces, namespace, None, lambda found: found is None, timeout_seconds=60)
    done = await restore(awake, made)
    assert phase(done) == "Completed"
    assert (await awake.kube.get(namespaces, namespace))["metadata"]["labels"]["mine"] == "kept"
    assert (await awake.kube.get(SECRETS, "keys", namespace))["data"] == {"a": "Yg=="}
    assert (await results(awake, done))[0].count("kube-root-ca.crt") == 0


async def test_service_accounts_are_there_before_pods_and_config_before_deployments(
    awake: World, namespace: str
) -> None:
    """The order of a restore, seen by the versions of what it made."""
    await awake.kube.create(SERVICE_ACCOUNTS, {"metadata": {"name": "worker"}}, namespace)
    await awake.kube.create(SECRETS, {"metadata": {"name": "keys"}, "stringData": {"a": "b"}}, namespace)
    await config_map(awake, namespace)
    spec = {"containers": [CONTAINER], "serviceAccountName": "worker", "terminationGracePeriodSeconds": 0}
    await awake.kube.create(PODS, {"metadata": {"name": "task"}, "spec": spec}, namespace)
    await awake.kube.create(SERVICES, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}}, namespace)
    made = await backup(awake, namespace)
    order = [
        (SERVICE_ACCOUNTS, "worker"),
        (SECRETS, "keys"),
        (CONFIG_MAPS, "settings"),
        (PODS, "task"),
        (SERVICES, "web"),
    ]
    for resource, name in reversed(order):
        await lose(awake, resource, name, namespace)
    seen: dict[str, str] = {}
    assert phase(await restore(awake, made)) == "Completed"
    for resource, name in order:
        seen[resource.kind] = (await awake.kube.get(resource, name, namespace))["metadata"]["creationTimestamp"]
    assert list(seen.values()) == sorted(seen.values())


async def test_the_bucket_says_what_a_restore_did_with_each_object(awake: World, namespace: str) -> None:
    """By version and kind: made, skipped or failed."""
    await config_map(awake, namespace, "lost")
    await config_map(awake, namespace, "there")
    made = await backup(awake, namespace)
    await lose(awake, CONFIG_MAPS, "lost", namespace)
    done = await restore(awake, made)
    listed = await document(awake, layout.restore_resource_list_key(done["metadata"]["name"]))
    assert f"{namespace}/lost(created)" in listed["v1/ConfigMap"]
    assert f"{namespace}/there(skipped)" in listed["v1/ConfigMap"]


async def test_a_deleted_restore_takes_its_files_along(awake: World, namespace: str) -> None:
    """By a finalizer: the server removes them before the object goes."""
    done = await restore(awake, await backup(awake, namespace))
    name = done["metadata"]["name"]
    assert "restores.velero.io/external-resources-finalizer" in done["metadata"]["finalizers"]
    assert await keys(awake, f"restores/{name}/") != set()
    await awake.kube.delete(RESTORES, name, VELERO)
    await awake.kube.wait_for(RESTORES, name, VELERO, lambda found: found is None, timeout_seconds=30)
    assert await keys(awake, f"restores/{name}/") == set()


async def test_without_its_deployment_velero_restores_only_in_part(awake: World, namespace: str) -> None:
    """It reads a setting there; so a server that runs outside of one is no stack."""
    await config_map(awake, namespace)
    made = await backup(awake, namespace)
    await lose(awake, CONFIG_MAPS, "settings", namespace)
    await awake.http("DELETE", f"{DEPLOYMENTS.path(VELERO, 'velero')}?propagationPolicy=Orphan")
    try:
        done = await restore(awake, made)
    finally:
        for orphan in (await awake.kube.list(REPLICA_SETS, VELERO)).items:
            await awake.kube.delete(REPLICA_SETS, orphan["metadata"]["name"], VELERO)
        await awake.wake()
    assert phase(done) == "PartiallyFailed"
    assert done["status"]["errors"] >= 1


async def test_a_backup_of_another_cluster_is_restored_once_it_is_posted(awake: World, namespace: str) -> None:
    """The object's phase is taken as it is: no server runs a Backup that says Completed."""
    await config_map(awake, namespace)
    name = (await backup(awake, namespace))["metadata"]["name"]
    await awake.kube.delete(BACKUPS, name, VELERO)
    await lose(awake, CONFIG_MAPS, "settings", namespace)
    stored = await document(awake, layout.metadata_key(name))
    posted = await awake.velero.import_backup(stored)
    assert posted.phase == "Completed"
    assert phase(await restore(awake, {"metadata": {"name": name}}, a_name("restore"))) == "Completed"
    assert await awake.kube.find(CONFIG_MAPS, "settings", namespace) is not None
