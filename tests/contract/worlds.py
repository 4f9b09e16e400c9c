"""Who makes the cluster of each world."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from app.clusters.sandbox import SandboxClusters
from app.sandbox import supervisor
from app.settings import ImageSettings
from tests.contract.world import INSTANCE, Cluster


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


#: Every world that this run has.
WORLDS = {"sandbox": sandbox}
