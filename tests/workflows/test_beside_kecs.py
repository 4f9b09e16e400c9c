"""Restoring into a cluster in which KECS has already restored what it knows: less, and some of it twice.

On the sandbox alone, whose stand-in does what KECS's own restoration does.
"""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.kubernetes.resources import DEPLOYMENTS, PODS
from app.sandbox.kecs_store import STORE, Rows, read_store
from tests.instances import NAME
from tests.product import Product, sandbox_product
from tests.waiting import eventually


@pytest.fixture
def store() -> Rows:
    """What KECS knows; filled by the seed."""
    return {}


@pytest.fixture
async def product(tmp_path: Path, store: Rows) -> AsyncIterator[Product]:
    """Stopped with a proof, made anew by somebody, and KECS's own restoration done."""
    async with sandbox_product(tmp_path) as product:
        path = tmp_path / "instances" / NAME / "data" / STORE
        await product.stop()
        store.update(read_store(path))
        await product.recreate()

        async def kecs_is_done() -> bool:
            async with product.kube() as kube:
                found = {
                    item["metadata"]["name"] for kind in (DEPLOYMENTS, PODS) for item in (await kube.list(kind)).items
                }
            return {service["service_name"] for service in store["services"]} <= found and {
                f"task-{task['id']}" for task in store["tasks"]
            } <= found

        await eventually(kecs_is_done)
        yield product


async def test_poorer_copies_become_what_was_backed_up(product: Product, store: Rows) -> None:
    """Environment and volumes are back; what was overwritten is kept on the host and listed."""
    restored = (await product.start())["result"]["restored"]
    services = {f"deployments.apps {service['namespace']}/{service['service_name']}" for service in store["services"]}
    assert set(restored["overwritten"]) == services
    assert (restored["comparison"]["missing"], restored["comparison"]["differing"]) == ([], [])
    kept = list((product.record.parent / "overwritten").glob("*/*.json"))
    assert len(kept) == len(services)


async def test_tasks_that_kecs_started_too_are_named(product: Product, store: Rows) -> None:
    """Both run: which of them is wanted, only the user knows."""
    restored = (await product.start())["result"]["restored"]
    wanted = {f"pods ecs-{task['cluster_arn'].rpartition('/')[2]}/task-{task['id']}" for task in store["tasks"]}
    assert set(restored["duplicate_tasks"]) == wanted
    assert {name.rpartition("/")[2] for name in restored["rerun_tasks"]} == {task["id"] for task in store["tasks"]}


async def test_holding_kecs_back_stops_none_of_its_tasks(product: Product, store: Rows) -> None:
    """An orderly end of its server would mark every task STOPPED, and ECS would say so for ever."""
    await product.start()
    path = product.state_dir / "instances" / NAME / "data" / STORE
    statuses = {task["last_status"] for task in read_store(path)["tasks"]}
    assert (bool(store["tasks"]), statuses) == (True, {"RUNNING"})
