"""An attempt's own access to its instance: what it asks the power driver for, and how often."""

import asyncio
from pathlib import Path
from typing import Any, cast

import pytest

from app.errors import ClusterCommandError
from app.ports import ClusterAccess, Mount
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


class SlowDriver(CountedMounts):
    """A power driver that answers when it is let."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.ended: list[str] = []

    async def access(self, instance: str) -> ClusterAccess:
        """None, as of a cluster that is off."""
        try:
            await self.may_answer.wait()
        finally:
            self.ended.append(instance)
        raise ClusterCommandError("it is off")

    async def mounts(self, instance: str) -> list[Mount]:
        """After a while."""
        await self.may_answer.wait()
        return await super().mounts(instance)


async def test_what_is_asked_ahead_is_not_asked_again(tmp_path: Path) -> None:
    """Both answers are asked for at once; one that fails is told to whoever needs it."""
    driver, settings = SlowDriver(), Settings(driver="sandbox", sandbox_state_dir=tmp_path)
    async with InstanceSession(World(settings, cast("Any", driver), cast("Any", None)), "demo") as session:
        session.ask_ahead()
        waiting = asyncio.create_task(session.mounts())
        await asyncio.sleep(0)
        driver.may_answer.set()
        assert (await waiting, driver.asked) == ([Mount("/node", "/host/demo/1")], 1)
        with pytest.raises(ClusterCommandError):
            await session.kube()
    assert driver.ended == ["demo", "demo"]


async def test_asking_ahead_ends_with_the_attempt(tmp_path: Path) -> None:
    """A driver that hangs holds nobody up who does not need it."""
    driver, settings = SlowDriver(), Settings(driver="sandbox", sandbox_state_dir=tmp_path)
    async with InstanceSession(World(settings, cast("Any", driver), cast("Any", None)), "demo") as session:
        session.ask_ahead()
        await asyncio.sleep(0)
    assert (driver.ended, driver.asked) == (["demo"], 0)
