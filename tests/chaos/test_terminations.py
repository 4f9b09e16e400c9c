"""The service ended in the middle of a stop, in order or not, and what the next one makes of it."""

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.jobs.reconciler import SHUTDOWN_SECONDS
from app.sandbox import supervisor
from tests.chaos.checker import Checker
from tests.chaos.harness import live_backups
from tests.instances import NAME
from tests.product import Product, sandbox_product

#: How a job's row looks to the next process when the last one was killed right after ``power-off`` was recorded.
KILLED_AFTER_THE_POWER_OFF = """
UPDATE job SET status = 'running', finished_at = NULL, result = NULL, step = 'verify-off';
DELETE FROM job_step WHERE key LIKE 'verify-off%';
"""


async def until_step(product: Product, job_id: str, step: str) -> None:
    """Until a step of a job runs."""
    async with asyncio.timeout(30):
        while (await product.service.client.get(f"/jobs/{job_id}")).json()["step"] != step:
            await asyncio.sleep(0.02)


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """Power commands that do not take effect fail the job soon."""
    settings = {"WORKFLOW__POWER_TIMEOUT_SECONDS": "10", "WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1"}
    async with sandbox_product(tmp_path, **settings) as running:
        yield running


async def test_a_service_terminated_during_a_backup_ends_in_time_and_the_next_one_goes_on(product: Product) -> None:
    """Exit code 0 within the deadline, no attempt counted; the Backup that was under way is adopted, not doubled."""
    product.faults(slow={"backup:InProgress": 3})
    job_id = (await product.service.post(f"/instances/{NAME}/stop")).json()["id"]
    await until_step(product, job_id, "wait-for-backup")
    begun = time.monotonic()
    assert await product.service.terminate() == 0
    assert time.monotonic() - begun < SHUTDOWN_SECONDS
    assert product.state() == "running"
    await product.service.start()
    job = await product.service.ended(job_id)
    assert (job["status"], job["attempt"], product.state()) == ("succeeded", 1, "stopped")
    checker = Checker(product.state_dir, NAME, proof_max_age_seconds=60)
    assert checker.unproven_power_offs() == checker.unended_jobs() == []
    await product.start()
    assert checker.doubled_backups(await live_backups(product)) == []


@pytest.mark.parametrize("mode", ["required", "skip"])
async def test_a_cluster_powered_on_again_before_the_stop_was_over_is_powered_off_again(
    product: Product, mode: str
) -> None:
    """The recorded power-off was one of the try before: the new try needs its own, after its own proof."""
    job_id = (await product.stop(mode=mode))["id"]
    await product.service.kill()
    database = sqlite3.connect(product.state_dir / "state" / "state.db")
    database.executescript(KILLED_AFTER_THE_POWER_OFF)
    database.close()
    await supervisor.power_on(product.state_dir, NAME)
    await product.service.start()
    job = await product.service.ended(job_id)
    assert (job["status"], product.state()) == ("succeeded", "stopped"), job["error"]
    checker = Checker(product.state_dir, NAME, proof_max_age_seconds=60)
    assert len(checker.power_offs) == 2
    assert len(checker.unproven_power_offs()) == (0 if mode == "required" else 2)
