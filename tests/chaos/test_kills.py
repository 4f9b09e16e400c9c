"""SIGKILLs of the service in every step of stops and starts, and nothing lost, doubled or unproven."""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest

from app.velero.models import BACKUPS
from tests.chaos.checker import Checker
from tests.instances import NAME
from tests.journal import until_step
from tests.product import Product, sandbox_product

KILLS = int(os.environ.get("KECS_STATE_TEST_KILLS", "25"))
SEED = int(os.environ.get("KECS_STATE_TEST_SEED", "20261123"))
#: Where kills fall. By the clock alone nearly all of them fell on the three longest steps, and none on a power-off.
STEPS = {
    "stop": ["prepare-scope", "wake-stack", "create-backup", "wait-for-backup", "prove-backup", "sleep-stack"]
    + ["power-off", "verify-off"] * 3,
    "start": ["power-on", "wait-for-api", "look-for-missing", "wait-for-workloads"],
    # A drain ends pods without a controller, so these starts have something to repair.
    "start after a drain": ["power-on", "wake-stack", "choose-backup", "restore-missing", "compare-content"],
}
#: After the step has begun: the last one often is in a later step or after the job's end.
DELAYS_SECONDS = [0, 0, 0.01, 0.05, 0.3]
PROOF_MAX_AGE_SECONDS = 3.0
SETTINGS = {
    "WORKFLOW__PROOF_MAX_AGE_SECONDS": str(PROOF_MAX_AGE_SECONDS),
    "WORKFLOW__MAX_BACKUP_TRIES": "10",
    "WORKFLOW__MAX_ATTEMPTS": "50",
    "WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1",
}


@pytest.mark.timeout(560)
@pytest.mark.parametrize(("power_off", "kills"), [("crash-consistent", KILLS - KILLS // 3), ("drain", KILLS // 3)])
async def test_kills_lose_nothing_double_nothing_and_power_nothing_off_unproven(
    tmp_path: Path, power_off: str, kills: int
) -> None:
    """Each kill is followed by a restart; afterwards an independent checker reads everything."""
    moments = random.Random(SEED)  # noqa: S311 - replayable
    async with sandbox_product(tmp_path, WORKFLOW__POWER_OFF=power_off, **SETTINGS) as product:
        for _ in range(kills):
            await one_kill(product, moments, "start after a drain" if power_off == "drain" else "start")
        await product.start()
        backups = await live_backups(product)
        checker = Checker(tmp_path, NAME, proof_max_age_seconds=PROOF_MAX_AGE_SECONDS)
        assert len(checker.power_offs) >= kills // 4, "too few power-offs to say anything"
        assert checker.unended_jobs() == []
        assert checker.failed_jobs() == []
        assert checker.doubled_backups(backups) == []
        assert checker.unproven_power_offs() == []


async def one_kill(product: Product, moments: random.Random, start: str) -> None:
    """Begin a stop or a start, kill the service during or after one of its steps, and let the next one end the job."""
    operation, steps = ("stop", STEPS["stop"]) if product.state() == "running" else ("start", STEPS[start])
    job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/{operation}")).json()
    await kill_in(product, job, moments.choice(steps), moments.choice(DELAYS_SECONDS))
    await product.service.ended(job["id"])


async def kill_in(product: Product, job: dict[str, Any], step: str, seconds: float = 0) -> None:
    """Kill the service some time after a step of a job has begun, and start it again."""
    await until_step(product.state_dir, job["id"], step)
    await asyncio.sleep(seconds)
    await product.service.kill()
    await product.service.start()


async def live_backups(product: Product) -> list[dict[str, Any]]:
    """Every Backup the cluster knows."""
    async with product.kube() as kube:
        return (await kube.list(BACKUPS, "velero")).items
