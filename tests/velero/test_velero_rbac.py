"""What Velero's account may do: as rules, and as they lie in a cluster."""

from collections.abc import Callable
from typing import Any

import pytest

from app.errors import StackNotReady
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import (
    CLUSTER_ROLE_BINDINGS,
    CLUSTER_ROLES,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    ROLE_BINDINGS,
    ROLES,
)
from app.settings import StackSettings
from app.velero.client import VeleroClient
from app.velero.stack import rbac
from app.velero.stack.manifests import namespace_manifest

ADMIN = StackSettings()
LEAST = StackSettings(rbac="least-privilege")


@pytest.fixture(autouse=True)
async def namespace(kube: KubeClient) -> None:
    """Velero's."""
    await kube.apply(NAMESPACES, namespace_manifest(LEAST))


async def rules(kube: KubeClient, name: str) -> list[dict[str, Any]]:
    """Of a ClusterRole."""
    found: list[dict[str, Any]] = (await kube.get(CLUSTER_ROLES, name)).get("rules") or []
    return found


def test_kinds_are_read_by_their_group() -> None:
    """The core group is the empty one."""
    assert rbac.reading_rules([PODS, NAMESPACES, DEPLOYMENTS]) == [
        {"apiGroups": [""], "resources": ["namespaces", "pods"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "list", "watch"]},
    ]


def test_a_restore_neither_deletes_nor_escalates() -> None:
    """Whoever may bind any role has every right."""
    (rule,) = rbac.restoring_rules(["roles.rbac.authorization.k8s.io"])
    assert set(rule["verbs"]) == {"get", "list", "watch", "create", "patch", "update"}


async def test_reading_takes_in_neither_wildcards_nor_subresources(kube: KubeClient) -> None:
    """``get pods/exec`` runs commands."""
    await rbac.grant(kube, LEAST)
    names = {name for rule in await rules(kube, "velero-reads") for name in rule["resources"]}
    assert {"pods", "secrets", "deployments", "backups"} <= names
    assert not [name for name in names if "*" in name or "/" in name]


async def test_nothing_can_be_written_before_a_restore(kube: KubeClient) -> None:
    """Nor after one that the stack has gone to sleep on."""
    await rbac.grant(kube, LEAST)
    assert await rules(kube, "velero-restores") == []
    await rbac.allow_restoring(kube, LEAST, ["configmaps"])
    assert [rule["resources"] for rule in await rules(kube, "velero-restores")] == [["configmaps", "namespaces"]]
    await rbac.forbid_restoring(kube, LEAST)
    assert await rules(kube, "velero-restores") == []


async def test_less_than_before_takes_the_administrator_away(kube: KubeClient) -> None:
    """And more than before brings it back."""
    await rbac.grant(kube, ADMIN)
    await rbac.grant(kube, LEAST)
    assert await kube.find(CLUSTER_ROLE_BINDINGS, "velero") is None
    await rbac.grant(kube, ADMIN)
    assert (await kube.get(CLUSTER_ROLE_BINDINGS, "velero"))["roleRef"]["name"] == "cluster-admin"


async def test_in_its_own_namespace_velero_may_do_anything(kube: KubeClient) -> None:
    """Its own objects, and the pods that move volumes."""
    await rbac.grant(kube, LEAST)
    binding = await kube.get(ROLE_BINDINGS, "velero", "velero")
    assert (binding["roleRef"]["kind"], binding["subjects"][0]["namespace"]) == ("Role", "velero")
    assert (await kube.get(ROLES, "velero", "velero"))["rules"][0]["verbs"] == ["*"]


@pytest.mark.parametrize("change", [rbac.forbid_restoring, lambda kube, own: rbac.allow_restoring(kube, own, ["pods"])])
async def test_a_velero_of_somebody_else_gets_no_role(kube: KubeClient, change: Callable[..., Any]) -> None:
    """Its rights are its owner's business."""
    foreign = StackSettings(namespace="theirs", rbac="least-privilege")
    await change(kube, foreign)
    assert await kube.find(CLUSTER_ROLES, "velero-theirs-restores") is None


async def test_an_administrator_needs_no_grant(velero: VeleroClient, kube: KubeClient) -> None:
    """The default asks nothing of the API server."""
    assert velero
    before = len((await kube.list(CLUSTER_ROLES)).items)
    await rbac.allow_restoring(kube, StackSettings(namespace="admins"), ["pods"])
    assert len((await kube.list(CLUSTER_ROLES)).items) == before


async def test_rights_that_do_not_come_into_force_are_not_waited_for_for_ever(
    kube: KubeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where something else than RBAC decides, say."""

    async def never(*_: Any) -> bool:
        return False

    monkeypatch.setattr(rbac, "EFFECT_SECONDS", 0.1)
    monkeypatch.setattr(rbac, "_may_create", never)  # the sandbox's API server refuses nobody
    await rbac.grant(kube, LEAST)
    with pytest.raises(StackNotReady, match="velero-restores"):
        await rbac.allow_restoring(kube, LEAST, ["pods"])
