"""What may go wrong with an instance on this machine, looked for before it does; changes nothing, wakes nothing."""

import asyncio
import errno
import socket
from datetime import UTC, datetime

from app.errors import ServiceError
from app.host.kecs_config import load_kecs_config
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NODES
from app.ports import ClusterStatus, PowerState
from app.velero.isolation import policy_enforcer
from app.velero.preflight import inspect_cluster
from app.workflows.preflight import check_host, checks_of, refused, uses_minio
from app.workflows.requests import PreflightCheck
from app.workflows.world import InstanceSession

#: Velero and MinIO together have some 200 MiB resident; a node of KECS's "optimized" mode has 512 MiB for everything.
SMALL_NODE_BYTES = 1024**3
#: S3 refuses requests whose time is off by 15 minutes; half a minute already shows that a clock stood still.
SKEW_SECONDS, MOST_SKEW_SECONDS = 30, 900

_UNITS = {"Ki": 1024, "Mi": 1024**2, "Gi": 1024**3}


async def diagnose(session: InstanceSession, status: ClusterStatus) -> list[PreflightCheck]:
    """Everything a stop would look at, and what can be seen of the machine around it."""
    checks = [*await _check_kecs(session, status), *await check_host(session, status)]
    if status.state is PowerState.RUNNING:
        try:
            kube = await session.kube()
            checks += checks_of(await inspect_cluster(kube, session.settings.stack, minio=uses_minio(session)))
            checks += await _check_nodes(kube)
            checks.append(await _check_isolation(kube))
        except ServiceError as error:
            checks.append(refused("cluster", error))
    return checks


async def _check_kecs(session: InstanceSession, status: ClusterStatus) -> list[PreflightCheck]:
    """KECS's own file; and while the instance is off, whether its ports are still free."""
    try:
        config = load_kecs_config(session.directory)
    except ServiceError as error:
        return [refused("config.yaml", error)]
    if config is None:
        return [PreflightCheck(name="config.yaml", outcome="unknown", detail="KECS has written none")]
    checks = [PreflightCheck(name="config.yaml", outcome="ok")]
    if status.state is PowerState.STOPPED:
        for purpose, port in config.ports.items():
            checks.append(await asyncio.to_thread(_check_port, purpose, port))
    return checks


def _check_port(purpose: str, port: int) -> PreflightCheck:
    name = f"port {port}"
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            # As Docker will: on every address.
            probe.bind(("0.0.0.0", port))  # noqa: S104 - bound and never listened on
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                return PreflightCheck(name=name, outcome="unknown", detail=f"{error.strerror or error}")
            return PreflightCheck(
                name=name,
                outcome="refused",
                detail=f"another program has the port of this instance's {purpose}; a start would fail",
                remedy=f"End that program; `lsof -i :{port}` names it.",
            )
    return PreflightCheck(name=name, outcome="ok", detail=f"free for the {purpose}")


async def _check_nodes(kube: KubeClient) -> list[PreflightCheck]:
    nodes, there = await asyncio.gather(kube.list(NODES), kube.transport.server_time())
    checks = []
    for node in nodes.items:
        memory = _bytes((node.get("status") or {}).get("capacity", {}).get("memory", "0"))
        small = memory < SMALL_NODE_BYTES
        checks.append(
            PreflightCheck(
                name=f"memory of {node['metadata']['name']}",
                outcome="warns" if small else "ok",
                detail=f"{memory / 1024**2:,.0f} MiB" + "; Velero and MinIO need some 200 of it" * small,
                remedy="Give the node 1 GiB or more: KECS's optimized mode is too small for a backup." * small,
            )
        )
    return [*checks, _check_clock(there)]


async def _check_isolation(kube: KubeClient) -> PreflightCheck:
    enforcer = await policy_enforcer(kube)
    if enforcer is not None:
        return PreflightCheck(name="network policy", outcome="ok", detail=f"enforced by {enforcer}")
    return PreflightCheck(
        name="network policy",
        outcome="warns",
        detail="nothing known enforces network policies here: every pod reaches MinIO's port, and only its keys "
        "protect what it holds",
        remedy="Make the cluster without --disable-network-policy, or install a network that enforces policies.",
    )


def _bytes(quantity: str) -> int:
    """A kubelet's own figure, which it gives in whole binary units."""
    unit = next((unit for unit in _UNITS if quantity.endswith(unit)), "")
    return int(quantity.removesuffix(unit) or 0) * _UNITS.get(unit, 1)


def _check_clock(there: datetime) -> PreflightCheck:
    skew = abs((datetime.now(UTC) - there).total_seconds())
    if skew < SKEW_SECONDS:
        return PreflightCheck(name="clock", outcome="ok")
    return PreflightCheck(
        name="clock",
        outcome="refused" if skew > MOST_SKEW_SECONDS else "warns",
        detail=f"the cluster's clock and this machine's differ by {skew:,.0f} s",
        remedy="Restart the container engine's machine: its clock stood still while the computer slept.",
    )
