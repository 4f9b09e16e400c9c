"""Restores into the cluster a backup came from, and into one that lost everything."""

import gzip
import json
from typing import Any

import pytest

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import Object, labels_of, phase_of
from app.sandbox.velero import kinds
from tests.sandbox.velero.conftest import (
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    Velero,
)


async def results(velero: Velero, restore: str) -> dict[str, Any]:
    raw = await velero.s3.get(f"restores/{restore}/restore-{restore}-results.gz")
    parsed: dict[str, Any] = json.loads(gzip.decompress(raw))
    return parsed


async def get(velero: Velero, kind: ResourceType, name: str) -> Object:
    return await velero.api.get(kind, name, velero.workload)


async def test_a_lost_namespace_comes_back(velero: Velero) -> None:
    """Namespace, ConfigMap, Secret and Service are there again, labelled with backup and restore."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart", data={"total": "7"})
    await velero.add(SECRETS, "key", data={"k": "djE="})
    await velero.add(SERVICES, "web", spec={"selector": {"app": "cart"}, "ports": [{"port": 80}]})
    await velero.backup("first")
    await velero.wipe()
    restore = await velero.restore("again", "first")
    assert (phase_of(restore), restore["status"].get("errors")) == ("Completed", None)
    cart = await get(velero, CONFIG_MAPS, "cart")
    assert cart["data"] == {"total": "7"}
    assert labels_of(cart) == {"velero.io/backup-name": "first", "velero.io/restore-name": "again"}
    assert (await get(velero, SECRETS, "key"))["data"] == {"k": "djE="}
    assert (await get(velero, SERVICES, "web"))["spec"]["ports"][0]["port"] == 80
    assert restore["metadata"]["finalizers"] == ["restores.velero.io/external-resources-finalizer"]
    assert len(await velero.s3.keys("restores/again/")) == 5


async def test_custom_objects_come_back_with_their_definition(velero: Velero) -> None:
    """Definitions first; discovery is read again before their objects follow."""
    group = f"g{velero.workload}.example.com"
    widgets = ResourceType(group, "v1", "widgets", "Widget", namespaced=True)
    await velero.api.create(CRDS, kinds.custom_resource_definition(widgets))
    await velero.add(widgets, "w", spec={"size": 3})
    await velero.start()
    await velero.backup("first")
    await velero.wipe()
    await velero.api.delete(CRDS, f"widgets.{group}")
    restore = await velero.restore("again", "first", includeClusterResources=True)
    assert phase_of(restore) == "Completed"
    assert (await get(velero, widgets, "w"))["spec"] == {"size": 3}


async def test_finished_pods_stay_away_and_owners_are_forgotten(velero: Velero) -> None:
    """A Succeeded pod is not restored; a running one comes back without its owner and its node."""
    await velero.start()
    container = {"containers": [{"name": "c", "image": "i.invalid/x"}]}
    await velero.add(PODS, "done", spec=container)
    await velero.add(PODS, "task", spec=container)
    done = f"{PODS.path(velero.workload, 'done')}/status"
    patch = {"status": {"phase": "Succeeded"}}
    await velero.api.request("PATCH", done, body=patch, content_type="application/merge-patch+json")
    await velero.backup("first")
    await velero.wipe()
    await velero.restore("again", "first")
    assert "ownerReferences" not in (await get(velero, PODS, "task"))["metadata"]
    assert await velero.api.find(PODS, "done", velero.workload) is None


async def test_an_existing_object_is_left_alone_with_a_warning(velero: Velero) -> None:
    """Policy none: what differs is only told."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart", data={"total": "7"})
    await velero.backup("first")
    await velero.api.merge_patch(CONFIG_MAPS, "cart", {"data": {"total": "8"}}, velero.workload)
    restore = await velero.restore("again", "first", includedResources=["configmaps"])
    assert phase_of(restore) == "Completed"
    assert (await get(velero, CONFIG_MAPS, "cart"))["data"] == {"total": "8"}
    warnings = (await results(velero, "again"))["warnings"]["namespaces"][velero.workload]
    assert any('ConfigMap "cart" already exists' in warning for warning in warnings)


async def test_policy_update_patches_back_to_the_backup(velero: Velero) -> None:
    """Changed fields return and added ones go; nothing is deleted."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart", data={"total": "7"})
    await velero.backup("first")
    await velero.api.merge_patch(CONFIG_MAPS, "cart", {"data": {"total": "8", "new": "1"}}, velero.workload)
    await velero.add(CONFIG_MAPS, "extra")
    await velero.restore("again", "first", includedResources=["configmaps"], existingResourcePolicy="update")
    assert (await get(velero, CONFIG_MAPS, "cart"))["data"] == {"total": "7"}
    assert await velero.api.find(CONFIG_MAPS, "extra", velero.workload) is not None


async def test_service_accounts_are_merged_whatever_the_policy(velero: Velero) -> None:
    """Pull secrets of the backup are added to those of the live account."""
    await velero.start()
    await velero.add(SERVICE_ACCOUNTS, "runner", imagePullSecrets=[{"name": "saved"}])
    await velero.backup("first")
    patch = {"imagePullSecrets": [{"name": "live"}]}
    await velero.api.merge_patch(SERVICE_ACCOUNTS, "runner", patch, velero.workload)
    await velero.restore("again", "first")
    account = await get(velero, SERVICE_ACCOUNTS, "runner")
    assert account["imagePullSecrets"] == [{"name": "live"}, {"name": "saved"}]


async def test_a_repair_by_names_brings_only_the_named(velero: Velero) -> None:
    """The Restore's own filter policy narrows what its includes allow."""
    await velero.start()
    for name in ("one", "two", "three"):
        await velero.add(CONFIG_MAPS, name)
    await velero.backup("first")
    for name in ("one", "two", "three"):
        await velero.api.delete(CONFIG_MAPS, name, velero.workload)
    policy = (
        f"version: v1\nnamespacedFilterPolicies:\n- namespaces: [{velero.workload}]\n"
        "  resourceFilters: [{kinds: [ConfigMap], names: [one, two]}]\n"
    )
    await velero.create(CONFIG_MAPS, "policy", data={"policy": policy})
    reference = {"kind": "configmap", "name": "policy"}
    await velero.restore("again", "first", includedResources=["configmaps"], resourcePolicy=reference)
    listed = (await velero.api.list(CONFIG_MAPS, velero.workload)).items
    assert {"one", "two"} <= {item["metadata"]["name"] for item in listed}
    assert "three" not in {item["metadata"]["name"] for item in listed}


async def test_another_namespace_by_mapping(velero: Velero) -> None:
    """The copy stands beside the original, in a namespace made for it."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart", data={"total": "7"})
    await velero.backup("first")
    copy = f"{velero.workload}-copy"
    await velero.restore("again", "first", namespaceMapping={velero.workload: copy})
    assert (await velero.api.get(CONFIG_MAPS, "cart", copy))["data"] == {"total": "7"}
    assert await velero.api.find(NAMESPACES, velero.workload) is not None


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        ({"backupName": "none"}, '"none" not found'),
        ({"existingResourcePolicy": "replace"}, "ExistingResourcePolicy"),
        ({"includedResources": ["nodes"]}, "non-restorable"),
        ({"scheduleName": "daily"}, "not both"),
    ],
    ids=["backup", "policy", "kind", "source"],
)
async def test_what_fails_validation(velero: Velero, spec: dict[str, Any], text: str) -> None:
    """The reason stands in validationErrors and the cluster is not touched."""
    await velero.start()
    await velero.backup("first")
    await velero.create(kinds.RESTORES, "again", spec={"backupName": "first", **spec})
    restore = await velero.until(kinds.RESTORES, "again", lambda it: phase_of(it) == "FailedValidation")
    assert text in restore["status"]["validationErrors"][0]


async def test_without_its_deployment_nothing_is_restored(velero: Velero) -> None:
    """The real server reads the Deployment named velero before the first object."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart")
    await velero.backup("first")
    await velero.wipe()
    await velero.api.delete(DEPLOYMENTS, "velero", velero.namespace)
    restore = await velero.restore("again", "first")
    assert (phase_of(restore), restore["status"]["errors"]) == ("PartiallyFailed", 1)
    assert (await results(velero, "again"))["errors"] == {"velero": ['deployments.apps "velero" not found']}
    assert await velero.api.find(NAMESPACES, velero.workload) is None


async def test_a_refused_object_is_an_error_of_its_namespace(velero: Velero) -> None:
    """The others come back; the phase says that one did not."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart")
    await velero.add(CONFIG_MAPS, "other")
    await velero.backup("first")
    await velero.wipe()
    velero.switch(fail_restore=[f"configmaps/{velero.workload}/cart"])
    restore = await velero.restore("again", "first")
    assert phase_of(restore) == "PartiallyFailed"
    errors = (await results(velero, "again"))["errors"]["namespaces"][velero.workload]
    assert errors == [f"error restoring configmaps/{velero.workload}/cart: refused by a fault switch"]
    assert await velero.api.find(CONFIG_MAPS, "other", velero.workload) is not None


async def test_one_field_of_one_object_can_be_changed(velero: Velero) -> None:
    """The restore says Completed although an object is not what it was."""
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart", data={"total": "7"})
    await velero.backup("first")
    await velero.wipe()
    change = {"resource": "configmaps", "namespace": velero.workload, "name": "cart"}
    velero.switch(change_restored={**change, "path": ["data", "total"], "value": "0"})
    assert phase_of(await velero.restore("again", "first")) == "Completed"
    assert (await get(velero, CONFIG_MAPS, "cart"))["data"] == {"total": "0"}


async def test_a_damaged_tarball_fails_the_restore(velero: Velero) -> None:
    """The backup said Completed; only reading it shows that it is none."""
    velero.switch(damage_backup={"how": "tar-truncated"})
    await velero.start()
    assert phase_of(await velero.backup("first")) == "Completed"
    restore = await velero.restore("again", "first")
    assert phase_of(restore) == "Failed"
    assert "extracting" in restore["status"]["failureReason"]


async def test_a_deleted_restore_takes_its_artefacts_along(velero: Velero) -> None:
    """The finalizer holds the CR until the bucket is clean."""
    await velero.start()
    await velero.backup("first")
    await velero.restore("again", "first")
    await velero.api.delete(kinds.RESTORES, "again", velero.namespace)
    await velero.until_gone(kinds.RESTORES, "again")
    assert await velero.s3.keys("restores/") == []
