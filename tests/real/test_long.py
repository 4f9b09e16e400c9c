"""Minutes on real clusters: many stops in a row, many objects, and power failures in the worst moments."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import CONFIG_MAPS
from tests.bulk import some_at_once
from tests.chaos.checker import Checker
from tests.chaos.harness import SETTINGS, live_backups
from tests.chaos.rounds import STEPS
from tests.chaos.victims import kill_in
from tests.instances import NAME
from tests.journal import until_step
from tests.product import Product, running_product
from tests.real.available import need_real_clusters
from tests.real.instance import RealInstance

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(1500)]
KILLS = 12
SEED = 20261123
STOPS = 8
OBJECTS = 1000


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """With the settings of the kill tests in the sandbox."""
    need_real_clusters()
    async with running_product(RealInstance(tmp_path), **SETTINGS) as running:
        running.service.job_seconds = 200
        yield running


async def test_many_stops_and_starts_in_a_row(product: Product) -> None:
    """None hangs, none loses anything, and five backups stay."""
    for _ in range(STOPS):
        stopped = await product.stop()
        assert (stopped["status"], stopped["result"]["protected"]) == ("succeeded", True), stopped["error"]
        started = await product.start()
        restored = started["result"]["restored"]
        assert (started["result"]["action"], restored["created"]) == ("repair", len(restored["rerun_tasks"]))
    await product.back_up()
    assert len(await product.backups()) == 5
    assert len([path for path in (product.bucket / "velero" / "backups").iterdir() if any(path.iterdir())]) == 5


async def test_a_thousand_objects_come_back_equal(product: Product) -> None:
    """Every one compared."""

    async def create(number: int) -> None:
        await kube.create(CONFIG_MAPS, {"metadata": {"name": f"many-{number}"}, "data": {"n": "x" * 500}}, "internal")

    async with product.kube() as kube:
        await some_at_once(create, range(OBJECTS))
    await product.stop()
    await product.recreate()
    comparison = (await product.start())["result"]["restored"]["comparison"]
    assert (comparison["missing"], comparison["differing"]) == ([], [])
    assert comparison["equal"] >= OBJECTS


@pytest.mark.parametrize("step", ["wake-stack", "restore-everything", "wait-for-workloads"])
async def test_a_power_failure_during_a_start_loses_nothing(product: Product, step: str) -> None:
    """However that start ends, the backup stays due until everything is back, and a start brings it back."""
    backup = (await product.stop())["result"]["backup"]
    await product.recreate()
    job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/start")).json()
    await until_step(product.state_dir, job["id"], step)
    await product.instance.power_off()
    await product.instance.power_on()
    ended = await product.service.ended(job["id"])
    if ended["status"] != "succeeded" or ended["result"]["restore_outstanding"]:
        refused = await product.service.post(f"/instances/{NAME}/stop")
        assert refused.json()["code"] == "restore-outstanding"
        ended = await product.start()
    assert ended["result"]["backup"] == backup
    comparison = ended["result"]["restored"]["comparison"]
    assert (comparison["missing"], ended["result"]["restore_outstanding"]) == ([], None)


async def test_kills_of_the_service_at_random_lose_nothing(product: Product) -> None:
    """As in tests/chaos, with the power failures of a real node in between; its power log the sandbox alone has."""
    moments = random.Random(SEED)  # noqa: S311 - replayable
    pods = await product.pods()
    for _ in range(KILLS):
        operation = "stop" if product.state() == "running" else "start"
        job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/{operation}")).json()
        await kill_in(product, job, moments.choice(STEPS[operation]), moments.choice([0, 0.05, 0.5]))
        ended = await product.service.ended(job["id"])
        assert ended["status"] == "succeeded", ended["error"]
        assert operation == "start" or ended["result"]["protected"]
    await product.start()
    assert pods.items() <= (await product.pods()).items()
    assert Checker.doubled_backups(await live_backups(product)) == []
