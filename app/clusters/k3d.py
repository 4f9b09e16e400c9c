"""The power driver of KECS's own clusters: the k3d and docker command lines.

What these tell and do not tell is recorded from k3d 5.8.3: a daemon that is down looks like an unknown cluster to every
k3d command but the unfiltered list, and an exit code of 0 does not mean that anything runs.
"""

import asyncio
import base64
import ssl
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from app.clusters import programs
from app.clusters.k3d_documents import (
    ListedCluster,
    UnreadableOutput,
    docker_version,
    inspected_containers,
    k3d_version,
    kubeconfig,
    listed_clusters,
)
from app.clusters.k3d_nodes import API_PORT, ROLES, Nodes
from app.clusters.programs import Finished
from app.errors import ClusterAbsent, ClusterCommandError, ClusterStateUnknown
from app.names import INSTANCE_NAME, check_instance_name, cluster_name
from app.ports import ClusterAccess, ClusterStatus, Mount, PowerState, ToolCheck
from app.settings import K3dSettings

POLL_SECONDS = 0.1
#: A server's own address answers at once, or this machine has no way there.
CONNECT_SECONDS = 0.5
#: k3d is told to give up before we end it, since it clears up behind itself.
CLEAR_UP_SECONDS = 5
#: What a message contains, and what to do then.
_REMEDIES = {
    "Cannot connect to the Docker daemon": "Start Docker, then try again.",
    "permission denied": "Let this user reach Docker's socket, for example by the group docker.",
    "address already in use": "Free the port that the message names, then start again.",
    "port is already allocated": "Stop the container that has the port the message names, then start again.",
    "network k3d-": "The cluster's network is gone: the cluster has to be deleted and created again.",
}
_OTHER_REMEDY = "Run the command yourself; k3d 5 and Docker's client are needed."
Read = TypeVar("Read")


class K3dClusters:
    """The k3d clusters ``kecs-<instance>`` of this machine; none is ever deleted or created."""

    def __init__(self, settings: K3dSettings) -> None:
        self._settings = settings
        self._k3d = settings.program
        self._docker = settings.docker_program

    async def state(self, instance: str) -> ClusterStatus:
        """State of one cluster, of all its containers."""
        try:
            return (await self._nodes(instance)).status()
        except ClusterAbsent:
            return ClusterStatus(PowerState.ABSENT)
        except ClusterStateUnknown as error:
            return ClusterStatus(PowerState.UNKNOWN, detail=error.detail)

    async def start(self, instance: str) -> None:
        """Power on by k3d, which adds what pods need to find the host; then see whether all of it runs."""
        await self._nodes(instance)
        seconds = self._settings.start_seconds
        command = [self._k3d, "cluster", "start", cluster_name(instance), "--timeout", f"{seconds:g}s"]
        finished = await self._run(command, seconds + CLEAR_UP_SECONDS)
        if finished.code != 0 and f"k3d-{cluster_name(instance)}-tools'" in finished.stderr:
            # A k3d that was killed in a start leaves its helper, and the first start after a stop trips over it.
            finished = await self._run(command, seconds + CLEAR_UP_SECONDS)
        _require_success(command, finished)
        nodes = await self._nodes(instance)
        if nodes.status().state is not PowerState.RUNNING:
            raise ClusterCommandError(
                f"k3d says that {cluster_name(instance)!r} is started, but {nodes.described()}",
                remedy="Look at the containers' logs with `docker logs`.",
                instance_name=instance,
            )

    async def stop(self, instance: str, *, drain: bool) -> None:
        """Power off: every container killed at once, so that pods come back as they were; or k3d's own drain."""
        nodes = await self._nodes(instance)
        names = nodes.with_power
        if not names:
            return
        if drain:
            command = [self._k3d, "cluster", "stop", cluster_name(instance)]
        else:
            await self._sync([server.name for server in nodes.servers if server.name in names])
            command = [self._docker, "kill", *names]
        finished = await self._run(command, self._settings.stop_seconds)
        # One that ended by itself just before makes a kill fail; what counts is whether any has power still.
        if finished.code != 0 and (await self._nodes(instance)).with_power:
            _require_success(command, finished)
        await self._until_off(instance)

    async def access(self, instance: str) -> ClusterAccess:
        """k3d's kubeconfig with an address that is true now: its own has no port, and ports change at a start."""
        nodes = await self._nodes(instance)
        command = [self._k3d, "kubeconfig", "get", cluster_name(instance)]
        document = await self._asked(kubeconfig, command)
        cluster = document["clusters"][0]["cluster"]
        cluster["server"] = await _server_url(instance, nodes, cluster)
        return ClusterAccess(document)

    async def mounts(self, instance: str) -> list[Mount] | None:
        """The host directories that every node sees."""
        return (await self._nodes(instance)).mounts()

    async def import_images(self, instance: str, references: Sequence[str]) -> Sequence[str]:
        """Out of Docker's own store. k3d's default way of it says success whatever happens, so it is told another."""
        inspected = [[self._docker, "image", "inspect", "--format", "{{.Id}}", reference] for reference in references]
        found = await asyncio.gather(*(self._run(command, self._settings.ask_seconds) for command in inspected))
        here = [reference for reference, asked in zip(references, found, strict=True) if asked.code == 0]
        if here:
            command = [self._k3d, "image", "import", "--mode", "direct", "--cluster", cluster_name(instance), *here]
            _require_success(command, await self._run(command, self._settings.import_seconds))
        return here

    async def tools(self) -> Sequence[ToolCheck]:
        """Docker's client and daemon, and k3d, with their versions."""
        docker = [self._docker, "version", "--format", "{{json .}}"]
        k3d = [self._k3d, "version", "-o", "json"]
        return await asyncio.gather(
            self._tool("docker", docker_version, docker, supported=""),
            self._tool("k3d", k3d_version, k3d, supported="v5."),
        )

    async def _tool(
        self, name: str, read: Callable[[bytes], str], command: Sequence[str], *, supported: str
    ) -> ToolCheck:
        try:
            version = await self._asked(read, command)
        except ClusterCommandError as error:
            return ToolCheck(name, ok=False, detail=error.detail, remedy=error.remedy)
        if not version.startswith(supported):
            return ToolCheck(name, ok=False, detail=f"it is {version}", remedy=f"Install {name} {supported}x.")
        return ToolCheck(name, ok=True, detail=version)

    async def list(self) -> dict[str, ClusterStatus]:
        """Every cluster of KECS's; raises ``ClusterStateUnknown`` when k3d or Docker does not tell."""
        return {instance: nodes.status() for instance, nodes in (await self._look()).items()}

    async def _nodes(self, instance: str) -> Nodes:
        """The containers of a cluster there is; raises ``ClusterAbsent`` or ``ClusterStateUnknown``."""
        found = await self._look(check_instance_name(instance))
        if instance not in found:
            raise ClusterAbsent(
                f"there is no k3d cluster {cluster_name(instance)!r}",
                remedy=f"Create it with `kecs start --instance {instance}`.",
                instance_name=instance,
            )
        return found[instance]

    async def _look(self, only: str | None = None) -> dict[str, Nodes]:
        """Clusters by instance name, with what Docker knows of their containers; raises ``ClusterStateUnknown``.

        k3d is not asked for a single one: a daemon that is down would look like an unknown cluster.
        """
        try:
            listed = await self._asked(listed_clusters, [self._k3d, "cluster", "list", "-o", "json"])
            roles = {instance: roles for instance, roles in map(_roles_by_name, listed) if only in {None, instance}}
            names = [name for nodes in roles.values() for name in nodes]
            inspect = [self._docker, "inspect", "--type", "container", *names]
            containers = await self._asked(inspected_containers, inspect) if names else []
        except ClusterCommandError as error:
            raise ClusterStateUnknown(error.detail, remedy=error.remedy) from None
        known = {container.name: container for container in containers}
        return {
            instance: Nodes(*([known[name] for name in nodes if nodes[name] == role] for role in ROLES))
            for instance, nodes in roles.items()
            if INSTANCE_NAME.match(instance)
        }

    async def _sync(self, names: Sequence[str]) -> None:
        """Have the disk written: against this machine losing its own power next; a kill alone loses nothing."""
        for name in names:
            with suppress(ClusterCommandError):
                await self._run([self._docker, "exec", name, "sync"], self._settings.ask_seconds)

    async def _until_off(self, instance: str) -> None:
        until = asyncio.get_running_loop().time() + self._settings.stop_seconds
        while left := (await self._nodes(instance)).with_power:
            if asyncio.get_running_loop().time() > until:
                raise ClusterCommandError(
                    f"still on after the power-off: {', '.join(left)}",
                    remedy="Look at the containers with `docker ps`.",
                    instance_name=instance,
                )
            await asyncio.sleep(POLL_SECONDS)

    async def _asked(self, read: Callable[[bytes], Read], command: Sequence[str]) -> Read:
        """What a program that only reads says, read; raises ``ClusterCommandError``."""
        finished = await self._run(command, self._settings.ask_seconds)
        _require_success(command, finished)
        try:
            return await asyncio.to_thread(read, finished.stdout)
        except UnreadableOutput as error:
            raise ClusterCommandError(
                f"{programs.shown(command)} printed what cannot be read: {error}", remedy=_OTHER_REMEDY
            ) from None

    async def _run(self, command: Sequence[str], seconds: float) -> Finished:
        return await programs.run(command, seconds, remedy=_OTHER_REMEDY)


def _require_success(command: Sequence[str], finished: Finished) -> None:
    if finished.code != 0:
        remedy = next((remedy for text, remedy in _REMEDIES.items() if text in finished.stderr), _OTHER_REMEDY)
        raise programs.failure(command, finished, remedy=remedy)


def _roles_by_name(cluster: ListedCluster) -> tuple[str, dict[str, str]]:
    """The instance that a cluster runs (no name for one that is not KECS's), and its containers' roles."""
    instance = cluster.name.removeprefix("kecs-")
    nodes = {node.name: node.role for node in cluster.nodes or [] if node.role in ROLES}
    return (instance, nodes) if cluster.name == cluster_name(instance) else ("", {})


async def _server_url(instance: str, nodes: Nodes, cluster: dict[str, Any]) -> str:
    """Where this machine reaches the API: a server's own address on Linux, else the published port."""
    if sys.platform == "linux" and (tls := _trust(cluster)) is not None:
        for address in nodes.own_addresses():
            if await _answers(address, tls):
                return f"https://{address}:{API_PORT}"
    for url in nodes.published_urls():
        return url
    raise ClusterCommandError(
        f"the API of {cluster_name(instance)!r} is published on no port: {nodes.described()}",
        remedy="Start the instance; if it runs, look at its ports with `docker ps`.",
        instance_name=instance,
    )


def _trust(cluster: dict[str, Any]) -> ssl.SSLContext | None:
    """Trust in this cluster's authority alone."""
    try:
        authority = base64.b64decode(cluster["certificate-authority-data"], validate=True).decode()
        # An empty one would mean everything this machine trusts.
        return ssl.create_default_context(cadata=authority) if authority else None
    except (LookupError, TypeError, ValueError, ssl.SSLError):
        return None


async def _answers(address: str, tls: ssl.SSLContext) -> bool:
    """Whether this cluster's own API server stands there: with a certificate of its authority for this address."""
    with suppress(OSError, TimeoutError):
        async with asyncio.timeout(CONNECT_SECONDS):
            _, writer = await asyncio.open_connection(address, API_PORT, ssl=tls)
        writer.transport.abort()
        return True
    return False
