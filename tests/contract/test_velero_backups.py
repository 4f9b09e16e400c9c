"""What Velero does with a Backup: phases, what lands in the bucket, what is refused and why."""

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from app.kubernetes.errors import KubernetesAlreadyExists
from app.kubernetes.resources import CONFIG_MAPS, CRDS, NAMESPACES, Resource
from app.storage import layout
from app.velero.bodies import custom_resource
from app.velero.models import BACKUP_STORAGE_LOCATIONS, BACKUPS, STORAGE_LOCATION_LABEL
from tests.contract.velero import (
    TERMINAL,
    VELERO,
    a_name,
    backup,
    config_map,
    document,
    ended,
    keys,
    phase,
    policy,
    unpacked,
    validate_anew,
)
from tests.contract.world import World

CLUSTER_ROLES = Resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)


def objects(files: dict[str, bytes], kind: str) -> set[str]:
    """Names of a kind's objects in a tar, ``namespace/name`` or ``name``."""
    pattern = re.compile(rf"resources/{re.escape(kind)}/(?:namespaces/([^/]+)|cluster)/([^/]+)\.json")
    return {"/".join(filter(None, found.groups())) for path in files if (found := pattern.fullmatch(path))}


async def test_a_backup_passes_through_its_phases_in_order(awake: World, namespace: str) -> None:
    """Progress is shown by them; none is skipped back to."""
    name = a_name("backup")
    body = custom_resource(BACKUPS, VELERO, name, {"includedNamespaces": [namespace]})
    seen: list[str] = []
    await awake.kube.create(BACKUPS, body, VELERO)
    async for event in awake.kube.watch(BACKUPS, VELERO, name=name):
        if not seen or seen[-1] != phase(event.object):
            seen.append(phase(event.object))
        if seen[-1] in TERMINAL:
            break
    assert seen[-1] == "Completed", event.object["status"]
    order = ["", "New", "Queued", "ReadyToStart", "InProgress", "Finalizing", "Completed"]
    assert seen == sorted(seen, key=order.index)


async def test_a_completed_backup_has_its_times_and_counts(awake: World, namespace: str) -> None:
    """Progress counts the items; nothing went wrong, so errors and warnings are absent."""
    await config_map(awake, namespace)
    status = (await backup(awake, namespace))["status"]
    assert status["startTimestamp"] <= status["completionTimestamp"]
    assert status["progress"]["itemsBackedUp"] == status["progress"]["totalItems"] > 1
    assert ("errors" in status, status["formatVersion"], status["version"]) == (False, "1.1.0", 1)


async def test_defaults_are_written_into_the_specification(awake: World, namespace: str) -> None:
    """So what was asked for is found again although fields were added."""
    made = await backup(awake, namespace)
    assert made["spec"]["ttl"] == "720h0m0s"
    assert made["spec"]["storageLocation"] == "default"
    assert made["spec"]["includedNamespaces"] == [namespace]
    assert made["metadata"]["labels"][STORAGE_LOCATION_LABEL] == "default"


async def test_a_backup_expires_after_its_lifetime(awake: World, namespace: str) -> None:
    """Counted from its start; the garbage collector goes by this field alone."""
    status = (await backup(awake, namespace, ttl="24h0m0s"))["status"]
    lifetime = datetime.fromisoformat(status["expiration"]) - datetime.fromisoformat(status["startTimestamp"])
    assert abs(lifetime.total_seconds() - 24 * 3600) <= 1


async def test_the_bucket_holds_these_objects_of_a_backup(awake: World, namespace: str) -> None:
    """The proof reads five of them; deleting a backup deletes all."""
    name = (await backup(awake, namespace))["metadata"]["name"]
    assert {key.removeprefix(f"backups/{name}/") for key in await keys(awake, layout.backup_prefix(name))} == {
        "velero-backup.json", f"{name}.tar.gz", f"{name}-logs.gz", f"{name}-results.gz",
        f"{name}-resource-list.json.gz", f"{name}-volumeinfo.json.gz", f"{name}-podvolumebackups.json.gz",
        f"{name}-volumesnapshots.json.gz", f"{name}-itemoperations.json.gz",
    }  # fmt: skip


async def test_the_stored_backup_is_the_completed_one(awake: World, namespace: str) -> None:
    """Another cluster believes this file, so its phase is checked there and not only in this cluster."""
    made = await backup(awake, namespace)
    stored = await document(awake, layout.metadata_key(made["metadata"]["name"]))
    assert stored["status"]["phase"] == "Completed"
    assert stored["status"]["completionTimestamp"] == made["status"]["completionTimestamp"]
    assert stored["spec"]["includedNamespaces"] == [namespace]


async def test_the_tar_holds_each_object_twice_and_whole(awake: World, namespace: str) -> None:
    """Once under its kind and once under the preferred version, with status and identity."""
    made = await config_map(awake, namespace)
    files = await unpacked(awake, await backup(awake, namespace))
    assert files["metadata/version"].strip() == b"1.1.0"
    plain = f"resources/configmaps/namespaces/{namespace}/settings.json"
    preferred = f"resources/configmaps/v1-preferredversion/namespaces/{namespace}/settings.json"
    assert files[plain] == files[preferred]
    stored = json.loads(files[plain])
    assert (stored["kind"], stored["apiVersion"], stored["data"]) == ("ConfigMap", "v1", {"key": "value"})
    assert stored["metadata"]["uid"] == made["metadata"]["uid"]


async def test_the_namespace_itself_is_in_the_tar(awake: World, namespace: str) -> None:
    """With the labels by which KECS knows it; of other namespaces there is none."""
    files = await unpacked(awake, await backup(awake, namespace))
    assert objects(files, "namespaces") == {namespace}


async def test_the_resource_list_names_everything(awake: World, namespace: str) -> None:
    """By version and kind; the proof holds it against what the API server has."""
    await config_map(awake, namespace)
    name = (await backup(awake, namespace))["metadata"]["name"]
    listed = await document(awake, layout.resource_list_key(name))
    assert f"{namespace}/settings" in listed["v1/ConfigMap"]
    assert listed["v1/Namespace"] == [namespace]


async def test_the_results_of_a_clean_backup_are_empty(awake: World, namespace: str) -> None:
    """Errors and warnings as documents of their own."""
    name = (await backup(awake, namespace))["metadata"]["name"]
    results = await document(awake, layout.results_key(name))
    assert set(results) == {"errors", "warnings"}
    assert not any(results["errors"].values())


async def test_labelled_objects_are_left_out(awake: World, namespace: str) -> None:
    """Velero's own label for what nobody wants saved."""
    await config_map(awake, namespace, "in")
    await config_map(awake, namespace, "out", metadata={"labels": {"velero.io/exclude-from-backup": "true"}})
    found = objects(await unpacked(awake, await backup(awake, namespace)), "configmaps")
    assert (f"{namespace}/in" in found, f"{namespace}/out" in found) == (True, False)


async def test_a_selector_takes_only_what_it_matches(awake: World, namespace: str) -> None:
    """Namespaced objects without the label stay out."""
    await config_map(awake, namespace, "in", metadata={"labels": {"tier": "web"}})
    await config_map(awake, namespace, "out")
    selector = {"matchLabels": {"tier": "web"}}
    files = await unpacked(awake, await backup(awake, namespace, labelSelector=selector))
    assert objects(files, "configmaps") == {f"{namespace}/in"}


async def test_excluded_kinds_and_namespaces_stay_out(awake: World, namespace: str) -> None:
    """By the newer family of filters, which the service uses."""
    await config_map(awake, namespace)
    spec: dict[str, Any] = {
        "includedNamespaces": ["*"],
        "excludedNamespaces": [VELERO, "kube-system"],
        "excludedNamespaceScopedResources": ["configmaps"],
    }
    files = await unpacked(awake, await backup(awake, namespace, **spec))
    assert objects(files, "configmaps") == set()
    assert {VELERO, "kube-system"} & objects(files, "namespaces") == set()
    assert namespace in objects(files, "namespaces")


async def test_cluster_scoped_kinds_must_be_asked_for(awake: World, namespace: str) -> None:
    """With the newer filters nothing cluster-scoped comes by itself."""
    role = a_name("contract-role")
    await awake.kube.create(CLUSTER_ROLES, {"metadata": {"name": role}, "rules": []})
    without = await unpacked(awake, await backup(awake, namespace, excludedNamespaceScopedResources=["events"]))
    including = await backup(awake, namespace, includedClusterScopedResources=["*"])
    assert role not in objects(without, "clusterroles.rbac.authorization.k8s.io")
    assert role in objects(await unpacked(awake, including), "clusterroles.rbac.authorization.k8s.io")


async def test_a_filter_policy_takes_objects_by_name(awake: World, namespace: str) -> None:
    """As the service takes single ConfigMaps of kube-system."""
    await config_map(awake, namespace, "in")
    await config_map(awake, namespace, "out")
    filters = [{"kinds": ["configmaps"], "names": ["in"]}]
    reference = await policy(
        awake,
        {"version": "v1", "namespacedFilterPolicies": [{"namespaces": [namespace], "resourceFilters": filters}]},
    )
    files = await unpacked(awake, await backup(awake, namespace, resourcePolicy=reference))
    assert objects(files, "configmaps") == {f"{namespace}/in"}


async def test_a_type_made_after_velero_started_is_silently_missing(awake: World, namespace: str) -> None:
    """Its discovery is as old as its process; that is why a stop wakes a new one and compares."""
    widgets = Resource("contract.example.com", "v1", a_name("widgets").replace("-", ""), "Widget", namespaced=True)
    await awake.kube.create(CRDS, definition(widgets))
    await awake.kube.wait_for(CRDS, widgets.group_resource, None, established, timeout_seconds=20)
    await awake.kube.create(
        widgets, {"apiVersion": widgets.api_version, "kind": "Widget", "metadata": {"name": "one"}}, namespace
    )
    made = await backup(awake, namespace)
    assert phase(made) == "Completed"
    assert objects(await unpacked(awake, made), widgets.group_resource) == set()
    await awake.wake()
    assert objects(await unpacked(awake, await backup(awake, namespace)), widgets.group_resource) == {
        f"{namespace}/one"
    }


def established(found: dict[str, Any] | None) -> bool:
    """Whether a definition is served."""
    conditions = ((found or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def definition(resource: Resource) -> dict[str, Any]:
    """A definition of a type that takes anything."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    names = {"plural": resource.plural, "singular": resource.plural[:-1], "kind": resource.kind}
    version = {"name": resource.version, "served": True, "storage": True, "schema": schema}
    spec = {"group": resource.group, "scope": "Namespaced", "names": names, "versions": [version]}
    return {"metadata": {"name": resource.group_resource}, "spec": spec}


async def test_a_namespace_that_does_not_exist_makes_a_partial_backup(awake: World, namespace: str) -> None:
    """It ends at once, and the proof refuses it."""
    made = await backup(awake, namespace, includedNamespaces=[namespace, "never-made"])
    assert phase(made) == "PartiallyFailed"
    assert made["status"]["errors"] >= 1


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        ({"storageLocation": "elsewhere"}, "elsewhere"),
        ({"includedResources": ["pods"], "excludedClusterScopedResources": ["nodes"]}, "old filter parameters"),
        (
            {"labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{"matchLabels": {"c": "d"}}]},
            "only one can be specified",
        ),
        ({"excludedNamespaces": ["*"]}, "excludes"),
        ({"resourcePolicy": {"kind": "configmap", "name": "never-made"}}, "never-made"),
    ],
    ids=["unknown location", "mixed filters", "two selectors", "excludes everything", "missing policy"],
)
async def test_a_specification_that_cannot_be_is_refused(
    awake: World, namespace: str, spec: dict[str, Any], complaint: str
) -> None:
    """FailedValidation, with reasons a person can read; nothing lands in the bucket."""
    made = await backup(awake, namespace, **spec)
    assert phase(made) == "FailedValidation"
    assert complaint in " ".join(made["status"]["validationErrors"])
    assert await keys(awake, layout.backup_prefix(made["metadata"]["name"])) == set()


async def test_a_name_taken_in_the_cluster_is_refused_by_the_api(awake: World, namespace: str) -> None:
    """So a try that runs twice finds the first one's Backup."""
    made = await backup(awake, namespace)
    with pytest.raises(KubernetesAlreadyExists):
        await backup(awake, namespace, made["metadata"]["name"])


async def test_a_name_taken_in_the_bucket_fails_and_harms_nothing(awake: World, namespace: str) -> None:
    """The Backup in the cluster was lost, the stored one of its name stays whole."""
    name = (await backup(awake, namespace))["metadata"]["name"]
    before = {found.key: found.modified_at for found in await awake.store.list_objects(layout.backup_prefix(name))}
    await awake.kube.delete(BACKUPS, name, VELERO)
    again = await backup(awake, namespace, name)
    assert phase(again) == "Failed"
    assert "already exists in object storage" in again["status"]["failureReason"]
    await awake.kube.delete(BACKUPS, name, VELERO)
    after = {found.key: found.modified_at for found in await awake.store.list_objects(layout.backup_prefix(name))}
    assert after == before


async def test_a_backup_interrupted_by_a_restart_is_failed(awake: World, namespace: str) -> None:
    """The next server marks what the last one left in progress; the service makes another try."""
    name = a_name("backup")
    body = custom_resource(BACKUPS, VELERO, name, {"includedNamespaces": [namespace], "storageLocation": "default"})
    started = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
    status = {"phase": "InProgress", "startTimestamp": started}
    await awake.kube.create(BACKUPS, body | {"status": status}, VELERO)
    await awake.restart_velero()
    found = await ended(awake, BACKUPS, name)
    assert phase(found) == "Failed"
    assert 'found a backup with status "InProgress" during the server starting' in found["status"]["failureReason"]
    await awake.kube.delete(BACKUPS, name, VELERO)


async def test_a_location_that_does_not_work_says_why_and_refuses_backups(awake: World, namespace: str) -> None:
    """Unavailable with a message; a Backup to it fails validation instead of hanging."""
    good = await awake.kube.get(BACKUP_STORAGE_LOCATIONS, "default", VELERO)
    spec = {key: value for key, value in good["spec"].items() if key not in {"default", "credential"}}
    bad = spec | {"objectStorage": {"bucket": "never-made"}}
    if "credential" in good["spec"]:
        bad["credential"] = good["spec"]["credential"]
    name = a_name("location")
    await awake.kube.create(
        BACKUP_STORAGE_LOCATIONS, custom_resource(BACKUP_STORAGE_LOCATIONS, VELERO, name, bad), VELERO
    )
    found = await awake.kube.wait_for(
        BACKUP_STORAGE_LOCATIONS, name, VELERO, lambda one: phase(one or {}) == "Unavailable", timeout_seconds=40
    )
    assert found is not None
    assert found["status"]["message"]
    made = await backup(awake, namespace, storageLocation=name)
    assert phase(made) == "FailedValidation"
    assert name in " ".join(made["status"]["validationErrors"])
    await awake.kube.delete(BACKUP_STORAGE_LOCATIONS, name, VELERO)


async def test_a_changed_location_is_validated_at_once(awake: World) -> None:
    """That is how a wake gets a validation of its own instead of waiting for the next."""
    await validate_anew(awake)


async def test_a_terminating_namespace_is_saved_as_it_is(awake: World, namespace: str) -> None:
    """Velero does not mind; the service leaves such namespaces out and lists them."""
    await config_map(awake, namespace, metadata={"finalizers": ["contract.example.com/hold"]})
    await awake.kube.delete(NAMESPACES, namespace)
    made = await backup(awake, namespace)
    assert f"{namespace}/settings" in objects(await unpacked(awake, made), "configmaps")
    await awake.kube.merge_patch(CONFIG_MAPS, "settings", {"metadata": {"finalizers": None}}, namespace)
