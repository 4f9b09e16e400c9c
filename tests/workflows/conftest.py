"""The product in every world; each test gets an instance of its own, since stopping it is the point."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path

import pytest

from tests.clusters.k3d_instance import K3dInstance
from tests.instances import Instance, SandboxInstance
from tests.product import Product, running_product
from tests.real.available import need_real_clusters
from tests.real.instance import RealInstance

#: Makes a product from settings without their prefix.
Products = Callable[..., AbstractAsyncContextManager[Product]]
SOON = {"WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1"}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the driver k3d, played over a sandbox cluster, could not make come out otherwise.

    And put off what takes a minute on real clusters and shows of them nothing that others here do not.
    """
    for item in items:
        if item.get_closest_marker("seldom_on_real") and item.get_closest_marker("real"):
            item.add_marker(pytest.mark.long)
    again = [
        item
        for item in items
        if item.get_closest_marker("whatever_driver")
        and isinstance(item, pytest.Function)
        and item.callspec.params.get("products") is K3dInstance
    ]
    if again:
        config.hook.pytest_deselected(items=again)
        items[:] = [item for item in items if item not in again]


def _real(state_dir: Path) -> Instance:
    need_real_clusters()
    return RealInstance(state_dir)


#: The world of real components, for tests of what no other world has.
REAL = pytest.param(_real, id="real", marks=[pytest.mark.real, pytest.mark.timeout(300)])


@pytest.fixture(
    params=[
        pytest.param(SandboxInstance, id="sandbox"),
        pytest.param(K3dInstance, id="k3d"),
        REAL,
    ]
)
def products(request: pytest.FixtureRequest, tmp_path: Path) -> Products:
    """Makes the product of one world with settings of the test's own."""
    return partial(running_product, request.param(tmp_path))


@pytest.fixture
async def product(products: Products) -> AsyncIterator[Product]:
    """A product with short deadlines, in every world."""
    async with products(**SOON) as running:
        yield running
