"""The inventory: what a backup of a scope must hold, listed from a real API server."""

from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS, CRDS, NAMESPACES, PODS, Resource
from app.proof.inventory import take_inventory
from app.velero.models import EXCLUDE_LABEL
from app.velero.scope import FULL, Scope


def config_map(name: str, **metadata: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, **metadata}, "data": {"key": "value"}}


async def names(kube: KubeClient, namespace: str, scope: Scope = FULL) -> set[str]:
    """What the inventory has of one namespace."""
    inventory = await take_inventory(kube, scope)
    return {f"{item.key.resource} {item.key.name}" for item in inventory.items if item.key.namespace == namespace}


async def test_objects_are_listed_with_their_uid_and_version(kube: KubeClient, namespace: str) -> None:
    """As they are, and the namespace itself among the cluster-scoped ones."""
    made = await kube.create(CONFIG_MAPS, config_map("settings"), namespace)
    inventory = await take_inventory(kube, FULL)
    items = {str(item.key): (item.uid, item.resource_version) for item in inventory.items}
    metadata = made["metadata"]
    assert items[f"configmaps {namespace}/settings"] == (metadata["uid"], metadata["resourceVersion"])
    assert f"namespaces {namespace}" in items
    assert inventory.failed_groups == []


async def test_what_a_backup_leaves_out_is_not_missed(kube: KubeClient, namespace: str) -> None:
    """The cluster's own ConfigMap, and what a label keeps out."""
    await kube.create(CONFIG_MAPS, config_map("kept-out", labels={EXCLUDE_LABEL: "true"}), namespace)
    await kube.create(CONFIG_MAPS, config_map("settings"), namespace)
    found = await names(kube, namespace)
    assert "configmaps settings" in found
    assert not found & {"configmaps kept-out", "configmaps kube-root-ca.crt"}


async def test_a_namespace_kept_out_by_its_label_takes_its_objects_along(kube: KubeClient) -> None:
    """They do not tell by themselves."""
    body = {"metadata": {"name": "hidden", "labels": {EXCLUDE_LABEL: "true"}}}
    await kube.create(NAMESPACES, body)
    await kube.create(CONFIG_MAPS, config_map("settings"), "hidden")
    assert await names(kube, "hidden") == set()


async def test_an_object_being_deleted_is_not_missed(kube: KubeClient, namespace: str) -> None:
    """It may be gone before the backup reads it."""
    await kube.create(CONFIG_MAPS, config_map("going", finalizers=["example.com/hold"]), namespace)
    await kube.delete(CONFIG_MAPS, "going", namespace)
    assert "configmaps going" not in await names(kube, namespace)
    await kube.merge_patch(CONFIG_MAPS, "going", {"metadata": {"finalizers": None}}, namespace)


async def test_a_type_made_a_moment_ago_is_listed(kube: KubeClient, namespace: str) -> None:
    """Velero may not know it yet and would lose it without a word."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    definition = {
        "metadata": {"name": "widgets.example.com"},
        "spec": {
            "group": "example.com",
            "scope": "Namespaced",
            "names": {"plural": "widgets", "kind": "Widget", "singular": "widget"},
            "versions": [{"name": "v1", "served": True, "storage": True, "schema": schema}],
        },
    }
    await kube.create(CRDS, definition)
    await kube.wait_for(CRDS, "widgets.example.com", None, is_established, timeout_seconds=10)
    widgets = Resource("example.com", "v1", "widgets", "Widget", namespaced=True)
    await kube.create(widgets, {"apiVersion": "example.com/v1", "kind": "Widget", **config_map("w")}, namespace)
    assert "widgets.example.com w" in await names(kube, namespace)


def is_established(definition: dict[str, Any] | None) -> bool:
    conditions = ((definition or {}).get("status") or {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


async def test_a_narrow_scope_lists_only_its_part(kube: KubeClient, namespace: str) -> None:
    """One namespace, one type."""
    await kube.create(CONFIG_MAPS, config_map("settings"), namespace)
    pod = {"metadata": {"name": "web"}, "spec": {"containers": [{"name": "c", "image": "i.invalid/x"}]}}
    await kube.create(PODS, pod, namespace)
    inventory = await take_inventory(kube, Scope(namespaces=[namespace], resources=["configmaps"], partial=True))
    assert {str(item.key) for item in inventory.items} == {
        f"namespaces {namespace}",
        f"configmaps {namespace}/settings",
    }
