"""Who makes the cluster of each world."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.clusters.command import CommandClusters
from app.clusters.sandbox import SandboxClusters
from app.sandbox import supervisor
from app.settings import ImageSettings
from tests.contract.world import INSTANCE, Cluster
from tests.real import cluster as real_clusters
from tests.real.available import need_real_clusters
from tests.real.commands import command_settings
from tests.real.images import STACK_IMAGES


class SandboxCluster:
    """A cluster of the embedded sandbox."""

    name = "sandbox"
    images = ImageSettings()

    def __init__(self, state_dir: Path) -> None:
        self._state_dir = state_dir
        self.clusters = SandboxClusters(state_dir)

    async def recreate(self) -> None:
        """As KECS makes a cluster anew."""
        await supervisor.delete(self._state_dir, INSTANCE)
        await supervisor.create(self._state_dir, INSTANCE, kecs=False)


@asynccontextmanager
async def sandbox(state_dir: Path) -> AsyncIterator[Cluster]:
    """A new sandbox cluster, gone at the end."""
    await supervisor.create(state_dir, INSTANCE, kecs=False)
    try:
        yield SandboxCluster(state_dir)
    finally:
        await supervisor.delete(state_dir, INSTANCE)


class RealCluster:
    """A real Kubernetes node on this machine, with real Velero and MinIO."""

    name = "real"
    images = STACK_IMAGES

    def __init__(self) -> None:
        self.clusters = CommandClusters(command_settings())

    async def recreate(self) -> None:
        """Wiped and powered on."""
        await asyncio.to_thread(real_clusters.wipe, INSTANCE)
        await asyncio.to_thread(real_clusters.power_on, INSTANCE)


@asynccontextmanager
async def real(state_dir: Path) -> AsyncIterator[Cluster]:
    """A new real cluster, gone at the end, however that comes."""
    need_real_clusters()
    await asyncio.to_thread(real_clusters.create, INSTANCE, state_dir / "host")
    try:
        yield RealCluster()
    finally:
        await asyncio.to_thread(real_clusters.delete, INSTANCE)


#: Every world; the real one needs what tests/real/README.md says.
WORLDS = {"sandbox": sandbox, "real": real}
