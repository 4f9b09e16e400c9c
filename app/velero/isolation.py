"""Whether anything in the cluster enforces network policies: the API server takes them either way."""

import json
from typing import Any

from app.concurrency import side_by_side
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DAEMON_SETS, NODES

#: k3s writes its command line there (k3s pkg/nodeconfig).
NODE_ARGUMENTS = "k3s.io/node-args"
SWITCHED_OFF = "--disable-network-policy"
#: DaemonSets of networks that enforce them.
ENFORCERS = frozenset({"calico-node", "canal", "cilium", "kube-router", "antrea-agent", "weave-net", "ovnkube-node"})


async def policy_enforcer(kube: KubeClient) -> str | None:
    """What enforces network policies, by name; None if nothing that is known does."""
    nodes, daemons = await side_by_side(kube.list(NODES), kube.list(DAEMON_SETS, metadata_only=True))
    names = sorted(ENFORCERS & {item["metadata"]["name"] for item in daemons.items})
    if names:
        return f"DaemonSet {names[0]}"
    return "k3s" if nodes.items and all(_k3s_enforces(node) for node in nodes.items) else None


def _k3s_enforces(node: dict[str, Any]) -> bool:
    """Of an agent the server's choice is not to be seen, so it counts as no."""
    try:
        arguments = json.loads((node["metadata"].get("annotations") or {}).get(NODE_ARGUMENTS, "[]"))
    except ValueError:
        return False
    return "server" in arguments and not any(str(each).startswith(SWITCHED_OFF) for each in arguments)
