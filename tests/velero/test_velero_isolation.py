"""Whether network policies count in a cluster: known by who would enforce them."""

import json
from collections.abc import Callable

import pytest

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DAEMON_SETS, NODES
from app.velero.isolation import NODE_ARGUMENTS, policy_enforcer


@pytest.fixture
async def node(kube: KubeClient) -> Callable[[object], object]:
    """Gives the cluster one node, with what k3s would note of its command line."""

    async def make(noted: str | None) -> None:
        annotations = {NODE_ARGUMENTS: noted} if noted is not None else {}
        await kube.delete(NODES, "only")
        await kube.create(NODES, {"metadata": {"name": "only", "annotations": annotations}})

    return make


#: KECS's own command line (k3d manager), and others.
KECS = ["server", "--disable=traefik", "--disable=servicelb", "--disable-network-policy"]


@pytest.mark.parametrize(
    ("noted", "enforcer"),
    [
        (json.dumps(KECS), None),
        (json.dumps(["server", "--disable=traefik"]), "k3s"),
        (json.dumps(["server", "--disable-network-policy=true"]), None),
        (json.dumps(["agent"]), None),
        ("no JSON", None),
        (None, None),
    ],
)
async def test_k3s_enforces_unless_it_is_told_not_to(
    kube: KubeClient, node: Callable[[object], object], noted: str | None, enforcer: str | None
) -> None:
    """Of a cluster that says nothing nothing is promised."""
    await node(noted)  # type: ignore[misc]
    assert await policy_enforcer(kube) == enforcer


async def test_a_network_that_enforces_is_known_by_its_daemon_set(kube: KubeClient) -> None:
    """Whatever the node says."""
    labels = {"app": "cilium"}
    pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "a", "image": "i"}]}}
    body = {"metadata": {"name": "cilium"}, "spec": {"selector": {"matchLabels": labels}, "template": pod}}
    await kube.create(DAEMON_SETS, body, "kube-system")
    try:
        assert await policy_enforcer(kube) == "DaemonSet cilium"
    finally:
        await kube.delete(DAEMON_SETS, "cilium", "kube-system")
