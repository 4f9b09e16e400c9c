"""A start of a k3d cluster, which can be used long before k3d is done with it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path

import pytest

from app.clusters import k3d
from app.clusters.k3d import K3dClusters
from app.db import Database
from app.errors import ClusterCommandError, StepTimeout
from app.jobs.repository import JobStore
from app.ports import PowerState
from app.settings import Settings
from app.workflows.power import finish_power_on, power_on, powering_on, wait_for_api
from app.workflows.world import InstanceSession, World
from tests.clusters.k3d_instance import CLUSTER, K3dInstance
from tests.clusters.own_address import ADDRESS, own_address
from tests.instances import NAME

SERVER, BALANCER = f"k3d-{CLUSTER}-server-0", f"k3d-{CLUSTER}-serverlb"


@pytest.fixture
async def instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[K3dInstance]:
    """A cluster that is off, whose server has an address of its own, as on Linux."""
    instance = K3dInstance(tmp_path)
    async with own_address(tmp_path, NAME) as port:
        # The one thing the sandbox cannot play: that its API always listens on 6443.
        monkeypatch.setattr(k3d, "API_PORT", port)
        await instance.create()
        try:
            instance.machine.bend(SERVER, address=ADDRESS)
            await instance.power_off()
            yield instance
        finally:
            await instance.delete()


@pytest.fixture
async def session(instance: K3dInstance, tmp_path: Path) -> AsyncIterator[InstanceSession]:
    """An attempt of a job on it."""
    settings = Settings(driver="k3d", k3d=instance.machine.settings, home=tmp_path / "home")
    async with Database.open(settings) as database:
        world = World(settings, K3dClusters(settings.k3d), JobStore(database, "here"))
        async with InstanceSession(world, NAME) as session:
            yield session


async def start(session: InstanceSession, meanwhile: Awaitable[None]) -> None:
    """As the workflow does it; what is done meanwhile begins when the API answers."""
    async with powering_on(session) as starting:
        await power_on(session, starting)
        await wait_for_api(session)
        await meanwhile
        await finish_power_on(starting)


async def test_the_api_is_used_while_k3d_brings_up_its_load_balancer(
    instance: K3dInstance, session: InstanceSession
) -> None:
    """It answers seven seconds before k3d returns; all of the cluster runs when the start is done."""

    gate = session.settings.home / "gate"
    instance.machine.change(trouble={"balancer waits for": str(gate)})

    async def use() -> None:
        assert await (await session.kube()).cluster_uid()
        assert instance.machine.status(BALANCER) == "exited"
        gate.touch()

    await start(session, use())
    assert (await session.world.clusters.state(NAME)).state is PowerState.RUNNING


async def test_a_failure_of_what_is_done_meanwhile_leaves_no_cluster_half_on(
    session: InstanceSession,
) -> None:
    """k3d is waited for all the same."""

    async def fail() -> None:
        raise StepTimeout("the restore took too long")

    with pytest.raises(StepTimeout):
        await start(session, fail())
    assert (await session.world.clusters.state(NAME)).state is PowerState.RUNNING


async def test_a_k3d_that_fails_after_the_api_answers_fails_the_start(
    instance: K3dInstance, session: InstanceSession
) -> None:
    """Its message is the problem's."""
    instance.machine.change(trouble={"balancer fails": "port is already allocated"})
    with pytest.raises(ClusterCommandError, match="port is already allocated") as failure:
        await start(session, asyncio.sleep(0))
    assert failure.value.remedy.startswith("Stop the container that has the port")
    assert (await session.world.clusters.state(NAME)).state is PowerState.HALF_OFF


async def test_a_cancelled_start_ends_k3d(instance: K3dInstance, session: InstanceSession) -> None:
    """Nothing goes on behind the back of whoever has cancelled it."""

    instance.machine.change(trouble={"balancer waits for": "nobody"})
    begun = asyncio.Event()

    async def begin() -> None:
        begun.set()

    working = asyncio.create_task(start(session, begin()))
    async with asyncio.timeout(30):
        await begun.wait()
    working.cancel()
    with pytest.raises(asyncio.CancelledError):
        await working
    assert instance.machine.status(BALANCER) == "exited"
