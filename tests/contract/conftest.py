"""One cluster per world for the whole run; each behaviour gets a namespace of its own."""

from collections.abc import AsyncIterator
from copy import deepcopy
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from app.kubernetes.resources import NAMESPACES
from app.velero.stack.sleep import stack_state
from tests.contract.world import INSTANCE, Cluster, World
from tests.contract.worlds import WORLDS
from tests.real.binaries import LEG, VERSIONS
from tests.tools import Tool, program

_numbers = count(1)


@pytest_asyncio.fixture(
    scope="session", loop_scope="session", params=["sandbox", pytest.param("real", marks=pytest.mark.real)]
)
async def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """The cluster of one world."""
    async with WORLDS[request.param](tmp_path_factory.mktemp(request.param)) as made:
        yield made


def pytest_runtest_setup(item: pytest.Item) -> None:
    """What an older Kubernetes does otherwise is no behaviour to hold the sandbox to: it plays the newer one."""
    marker = item.get_closest_marker("newer_kubernetes")
    if marker is not None and LEG == "other" and item.get_closest_marker("real") is not None:
        pytest.skip(f"Kubernetes {VERSIONS['kubernetes']}: {marker.args[0]}")


@pytest_asyncio.fixture
async def world(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    """Handles on that cluster, whose stack may be asleep or not even installed."""
    async with World(cluster, tmp_path_factory.getbasetemp()) as opened:
        yield opened


@pytest_asyncio.fixture
async def awake(world: World) -> World:
    """The same with Velero and MinIO up, as the first test that needed them has woken them."""
    if await stack_state(world.kube, world.settings) != "awake":
        await world.wake()
    return world


@pytest_asyncio.fixture
async def namespace(world: World) -> str:
    """A namespace that only this test uses; it stays until the cluster goes."""
    name = f"contract-{next(_numbers)}"
    await world.kube.create(NAMESPACES, {"metadata": {"name": name}})
    return name


class Programs:
    """Real command-line programs."""

    def __init__(self, home: Path) -> None:
        self._home = home

    async def tool(self, name: str, world: World, namespace: str) -> Tool:
        """The program, ready to be used on the world's cluster."""
        access = await world.cluster.clusters.access(INSTANCE)
        return Tool(program(name), deepcopy(access.kubeconfig), self._home, namespace)


@pytest.fixture
def programs(tmp_path: Path) -> Programs:
    """Programs with a home of this test's own."""
    return Programs(tmp_path / "home")
