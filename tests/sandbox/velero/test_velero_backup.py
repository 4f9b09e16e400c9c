"""Backups from the CR to the bucket."""

import gzip
import json
import signal
from dataclasses import replace

import pytest

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import phase_of
from app.sandbox.velero import kinds
from app.sandbox.velero.archive import ArchiveKey, read_archive
from tests.sandbox.velero.conftest import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CRDS,
    EVENTS,
    PODS,
    SERVICE_ACCOUNTS,
    Velero,
    manifest,
)


async def contents(velero: Velero, name: str) -> dict[ArchiveKey, bytes]:
    return read_archive(await velero.s3.get(f"backups/{name}/{name}.tar.gz"))


async def test_a_backup_is_completed_with_veleros_status_and_bucket_layout(velero: Velero) -> None:
    """Phase, format, counts and defaults in the CR; the nine objects of a backup in the bucket."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart", data={"total": "7"})
    backup = await velero.backup("first", ttl="876000h")
    status = backup["status"]
    assert (status["phase"], status["version"], status["formatVersion"]) == ("Completed", 1, "1.1.0")
    assert status["progress"]["totalItems"] == status["progress"]["itemsBackedUp"] > 0
    assert backup["metadata"]["labels"]["velero.io/storage-location"] == "default"
    assert backup["spec"]["ttl"] == "876000h0m0s"
    assert sorted(await velero.s3.keys("backups/first/")) == [
        "backups/first/first-itemoperations.json.gz",
        "backups/first/first-logs.gz",
        "backups/first/first-podvolumebackups.json.gz",
        "backups/first/first-resource-list.json.gz",
        "backups/first/first-results.gz",
        "backups/first/first-volumeinfo.json.gz",
        "backups/first/first-volumesnapshots.json.gz",
        "backups/first/first.tar.gz",
        "backups/first/velero-backup.json",
    ]


async def test_the_bucket_knows_the_same_phase_and_uid(velero: Velero) -> None:
    """velero-backup.json is the whole CR as it was when it became Completed."""
    await velero.start()
    backup = await velero.backup("first")
    stored = json.loads(await velero.s3.get("backups/first/velero-backup.json"))
    assert stored["metadata"]["uid"] == backup["metadata"]["uid"]
    assert stored["status"]["phase"] == "Completed"
    listed = json.loads(gzip.decompress(await velero.s3.get("backups/first/first-resource-list.json.gz")))
    assert listed["v1/Namespace"] == [velero.workload]


async def test_the_tar_holds_the_full_live_object(velero: Velero) -> None:
    """Identity included: uid and resourceVersion are those of the cluster."""
    await velero.start()
    live = await velero.add(CONFIG_MAPS, "cart", data={"total": "7"})
    await velero.backup("first")
    saved = json.loads((await contents(velero, "first"))[ArchiveKey("configmaps", velero.workload, "cart")])
    assert saved == live


async def test_labelled_for_exclusion_and_selected_by_label(velero: Velero) -> None:
    """The exclude label always wins; a selector takes only what it matches."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "in", metadata={"labels": {"app": "cart"}})
    await velero.add(CONFIG_MAPS, "other")
    hidden = {"app": "cart", "velero.io/exclude-from-backup": "true"}
    await velero.add(CONFIG_MAPS, "hidden", metadata={"labels": hidden})
    await velero.backup("first", labelSelector={"matchLabels": {"app": "cart"}})
    assert {key.name for key in await contents(velero, "first") if key.resource == "configmaps"} == {"in"}


async def test_a_kind_made_after_the_start_is_left_out_without_a_word(velero: Velero) -> None:
    """Discovery is as old as the process; after a restart the same Backup is whole."""
    await velero.start()
    group = f"g{velero.workload}.example.com"
    widgets = ResourceType(group, "v1", "widgets", "Widget", namespaced=True)
    await velero.api.create(CRDS, kinds.custom_resource_definition(widgets))
    await velero.add(widgets, "w")
    before = await velero.backup("before")
    assert (phase_of(before), before["status"].get("warnings")) == ("Completed", None)
    assert not [key for key in await contents(velero, "before") if "widgets" in key.resource]
    await velero.stop()
    await velero.start()
    await velero.backup("after")
    after = await contents(velero, "after")
    assert ArchiveKey(f"widgets.{group}", velero.workload, "w") in after
    assert ArchiveKey("customresourcedefinitions.apiextensions.k8s.io", "", f"widgets.{group}") in after


async def test_cluster_scoped_kinds_have_to_be_asked_for(velero: Velero) -> None:
    """With an excluded namespace only includedClusterScopedResources brings them in."""
    await velero.start()
    await velero.api.create(CLUSTER_ROLES, manifest(CLUSTER_ROLES, velero.workload, rules=[]))
    scope = {"includedNamespaces": ["*"], "excludedNamespaces": ["kube-public"]}
    await velero.backup("without", **scope, excludedNamespaceScopedResources=["events"])
    await velero.backup("with", **scope, includedClusterScopedResources=["*"])
    key = ArchiveKey(CLUSTER_ROLES.name, "", velero.workload)
    assert [key in await contents(velero, name) for name in ("without", "with")] == [False, True]


async def test_a_filter_policy_narrows_one_namespace(velero: Velero) -> None:
    """A ConfigMap of Velero's namespace says what is taken from the workload."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "kept")
    await velero.add(CONFIG_MAPS, "dropped")
    policy = (
        f"version: v1\nnamespacedFilterPolicies:\n- namespaces: [{velero.workload}]\n"
        "  resourceFilters: [{kinds: [configmaps], names: [kept]}]\n"
    )
    await velero.create(CONFIG_MAPS, "policy", data={"policy": policy})
    await velero.backup("first", resourcePolicy={"kind": "configmap", "name": "policy"})
    found = {key.name for key in await contents(velero, "first") if key.namespace}
    assert found == {"kept"}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"storageLocation": "nowhere"}, '"nowhere" not found'),
        ({"includedResources": ["pods"], "includedClusterScopedResources": ["*"]}, "old filter parameters"),
        ({"resourcePolicy": {"kind": "configmap", "name": "none"}}, 'configmaps "none" not found'),
        ({"labelSelector": {"matchLabels": {"a": "b"}}, "orLabelSelectors": [{}]}, "only one can be specified"),
    ],
    ids=["location", "filters", "policy", "selectors"],
)
async def test_what_fails_validation(velero: Velero, spec: dict[str, object], text: str) -> None:
    """The reason stands in validationErrors and nothing is written to the bucket."""
    await velero.start()
    backup = await velero.backup("first", **spec)
    assert phase_of(backup) == "FailedValidation"
    assert text in backup["status"]["validationErrors"][0]
    assert await velero.s3.keys("backups/") == []


async def test_a_namespace_that_does_not_exist_is_an_error(velero: Velero) -> None:
    """The rest is saved, the phase says that not all is well."""
    await velero.start()
    backup = await velero.backup("first", includedNamespaces=[velero.workload, "missing"])
    assert phase_of(backup) == "PartiallyFailed"
    assert backup["status"]["errors"] == 1


async def test_a_name_that_is_in_the_bucket_already_fails(velero: Velero) -> None:
    """The CR is Failed, the older backup's objects stay as they are."""
    await velero.start()
    await velero.backup("first")
    before = await velero.s3.get("backups/first/velero-backup.json")
    await velero.api.delete(kinds.BACKUPS, "first", velero.namespace)
    again = await velero.backup("first")
    assert phase_of(again) == "Failed"
    assert "already exists in object storage" in again["status"]["failureReason"]
    assert await velero.s3.get("backups/first/velero-backup.json") == before


async def test_two_backups_run_one_after_the_other(velero: Velero) -> None:
    """The second waits as Queued while the first runs, then runs by itself."""
    velero.switch(slow={"backup:InProgress": 0.5})
    await velero.start()
    for name in ("first", "second"):
        await velero.create(kinds.BACKUPS, name, spec={"includedNamespaces": [velero.workload]})
    await velero.until(kinds.BACKUPS, "first", lambda it: phase_of(it) == "InProgress")
    await velero.until(kinds.BACKUPS, "second", lambda it: phase_of(it) == "Queued")
    second = await velero.until(kinds.BACKUPS, "second", lambda it: phase_of(it) == "Completed")
    first = await velero.api.get(kinds.BACKUPS, "first", velero.namespace)
    assert first["status"]["completionTimestamp"] <= second["status"]["completionTimestamp"]


async def test_a_server_killed_in_a_backup_marks_it_failed_when_it_comes_back(velero: Velero) -> None:
    """InProgress at start is Failed with the real server's words; nothing is in the bucket."""
    velero.switch(crash="backup:InProgress")
    await velero.start()
    await velero.create(kinds.BACKUPS, "first", spec={})
    assert velero.process is not None
    assert await velero.process.wait() == -signal.SIGKILL
    velero.switch()
    await velero.start()
    backup = await velero.until(kinds.BACKUPS, "first", lambda it: phase_of(it) == "Failed")
    reason = 'found a backup with status "InProgress" during the server starting, mark it as "Failed"'
    assert backup["status"]["failureReason"] == reason
    assert await velero.s3.keys("backups/") == []


async def test_ready_to_start_is_forgotten_by_a_restart_until_somebody_edits_it(velero: Velero) -> None:
    """Any annotation wakes it."""
    await velero.create(kinds.BACKUPS, "first", spec={}, status={"phase": "ReadyToStart"})
    await velero.start()
    await velero.create(kinds.SERVER_STATUS_REQUESTS, "alive")
    await velero.until(kinds.SERVER_STATUS_REQUESTS, "alive", lambda it: phase_of(it) == "Processed")
    assert phase_of(await velero.api.get(kinds.BACKUPS, "first", velero.namespace)) == "ReadyToStart"
    await velero.api.merge_patch(kinds.BACKUPS, "first", {"metadata": {"annotations": {"a": "b"}}}, velero.namespace)
    await velero.until(kinds.BACKUPS, "first", lambda it: phase_of(it) == "Completed")


async def test_pods_are_saved_with_their_status(velero: Velero) -> None:
    """A backup takes every object, whatever a restore will make of it."""
    await velero.start()
    await velero.add(PODS, "task", spec={"containers": [{"name": "c", "image": "i.invalid/x"}]})
    await velero.backup("first")
    assert ArchiveKey("pods", velero.workload, "task") in await contents(velero, "first")


async def test_a_kind_served_by_two_groups_is_saved_once(velero: Velero) -> None:
    """Events are in the core group's directory only."""
    await velero.start()
    reference = {"kind": "Pod", "namespace": velero.workload, "name": "task"}
    await velero.add(EVENTS, "started", involvedObject=reference, reason="Started", type="Normal")
    await velero.backup("first")
    found = {key.resource for key in await contents(velero, "first") if key.name == "started"}
    assert found == {"events"}


async def test_a_service_accounts_bindings_come_along(velero: Velero) -> None:
    """With one namespace in scope the cluster-scoped kinds are not taken, but what its accounts may do is."""
    await velero.start()
    await velero.add(SERVICE_ACCOUNTS, "runner")
    name = velero.workload
    await velero.api.create(CLUSTER_ROLES, manifest(CLUSTER_ROLES, name, rules=[]))
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    subject = {"kind": "ServiceAccount", "name": "runner", "namespace": name}
    bindings = replace(CLUSTER_ROLES, plural="clusterrolebindings", kind="ClusterRoleBinding")
    await velero.api.create(bindings, manifest(bindings, name, roleRef=role, subjects=[subject]))
    await velero.backup("first")
    found = {key.resource for key in await contents(velero, "first") if key.name == name}
    assert {CLUSTER_ROLES.name, bindings.name} <= found
