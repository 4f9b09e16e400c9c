"""An attempt's own access to its instance: what it asks the power driver for, and how often."""

from pathlib import Path
from typing import Any, cast

from app.ports import Mount
from app.settings import Settings
from app.workflows.world import InstanceSession, World


class CountedMounts:
    """A power driver of whose answers each is another."""

    asked = 0

    async def mounts(self, instance: str) -> list[Mount]:
        """The number of this answer in its path."""
        self.asked += 1
        return [Mount("/node", f"/host/{instance}/{self.asked}")]


async def test_mounts_are_asked_for_once_until_the_power_changes(tmp_path: Path) -> None:
    """Each answer takes the driver two programs; after a change of power nothing that was known counts."""
    clusters, settings = CountedMounts(), Settings(driver="sandbox", sandbox_state_dir=tmp_path)
    async with InstanceSession(World(settings, cast("Any", clusters), cast("Any", None)), "demo") as session:
        first = await session.mounts()
        assert (await session.mounts(), clusters.asked) == (first, 1)
        await session.forget_access()
        assert await session.mounts() == [Mount("/node", "/host/demo/2")]
