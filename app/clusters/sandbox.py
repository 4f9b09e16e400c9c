"""The power driver of the embedded sandbox."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from app.errors import ClusterCommandError
from app.ports import ClusterAccess, ClusterStatus, Mount, PowerState, ToolCheck
from app.sandbox import supervisor


class SandboxClusters:
    """Sandbox clusters below one state directory."""

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir

    async def state(self, instance: str) -> ClusterStatus:
        """State of one cluster."""
        return _status(await asyncio.to_thread(supervisor.state, self._state_dir, instance))

    async def start(self, instance: str) -> None:
        """Power on."""
        try:
            await supervisor.power_on(self._state_dir, instance)
        except supervisor.SandboxError as error:
            raise ClusterCommandError(str(error), instance_name=instance) from error

    async def stop(self, instance: str, *, drain: bool) -> None:
        """Power off."""
        try:
            await supervisor.power_off(self._state_dir, instance, drain=drain)
        except supervisor.SandboxError as error:
            raise ClusterCommandError(str(error), instance_name=instance) from error

    async def access(self, instance: str) -> ClusterAccess:
        """The kubeconfig the API server has written at its start."""
        try:
            return ClusterAccess(await asyncio.to_thread(supervisor.kubeconfig, self._state_dir, instance))
        except (supervisor.SandboxError, OSError) as error:
            raise ClusterCommandError(f"no access to {instance!r}: {error}", instance_name=instance) from error

    async def mounts(self, instance: str) -> list[Mount] | None:
        """The one host directory, at the same path on the node."""
        directory = str(supervisor.host_directory(self._state_dir, instance))
        return [Mount(node_path=directory, host_path=directory)]

    async def import_images(self, _instance: str, _references: Sequence[str]) -> Sequence[str]:
        """None: programs of this package run in their place."""
        return []

    async def tools(self) -> Sequence[ToolCheck]:
        """None but this package."""
        return []

    async def list(self) -> dict[str, ClusterStatus]:
        """Every sandbox cluster."""
        found = await asyncio.to_thread(supervisor.list_clusters, self._state_dir)
        return {name: _status(status) for name, status in found.items()}


def _status(status: supervisor.SandboxStatus) -> ClusterStatus:
    return ClusterStatus(PowerState(status.state), status.off_epoch, status.detail)
