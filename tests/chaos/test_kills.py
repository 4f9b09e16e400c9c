"""Twenty-five SIGKILLs of the service at random moments of stops and starts, and nothing lost, doubled or unproven."""

import asyncio
import contextlib
import os
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from app.velero.models import BACKUPS
from tests.chaos.checker import Checker
from tests.workflows.conftest import NAME, Product, running_product

KILLS = int(os.environ.get("KECS_STATE_TEST_KILLS", "25"))
SEED = int(os.environ.get("KECS_STATE_TEST_SEED", "20261123"))
#: Where kills fall. By the clock alone nearly all of them fell on the three longest steps, and none on a power-off.
STEPS = {
    "stop": ["prepare-scope", "wake-stack", "create-backup", "wait-for-backup", "prove-backup", "sleep-stack"]
    + ["power-off", "verify-off"] * 3,
    "start": ["power-on", "wait-for-api", "wake-stack", "restore-missing", "compare-content", "settle-outstanding"],
}
#: After the step has begun: the last one often is in a later step or after the job's end.
DELAYS_SECONDS = [0, 0, 0.01, 0.05, 0.3]
PROOF_MAX_AGE_SECONDS = 3.0


@pytest.mark.timeout(560)
async def test_kills_lose_nothing_double_nothing_and_power_nothing_off_unproven(tmp_path: Path) -> None:
    """Each kill is followed by a restart; afterwards an independent checker reads everything."""
    moments = random.Random(SEED)  # noqa: S311 - replayable
    settings = {
        "WORKFLOW__PROOF_MAX_AGE_SECONDS": str(PROOF_MAX_AGE_SECONDS),
        "WORKFLOW__MAX_BACKUP_TRIES": "10",
        "WORKFLOW__MAX_ATTEMPTS": "50",
        "WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1",
    }
    async with running_product(tmp_path, **settings) as product:
        for _ in range(KILLS):
            await one_kill(product, moments)
        await product.start()
        backups = await live_backups(product)
        checker = Checker(tmp_path, NAME, proof_max_age_seconds=PROOF_MAX_AGE_SECONDS)
        assert len(checker.power_offs) >= KILLS // 4, "too few power-offs to say anything"
        assert checker.unended_jobs() == []
        assert checker.failed_jobs() == []
        assert checker.doubled_backups(backups) == []
        assert checker.unproven_power_offs() == []


async def one_kill(product: Product, moments: random.Random) -> None:
    """Begin a stop or a start, kill the service during or after one of its steps, and let the next one end the job."""
    operation = "stop" if product.state() == "running" else "start"
    job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/{operation}")).json()
    await until_begun(product.state_dir, job["id"], moments.choice(STEPS[operation]))
    await asyncio.sleep(moments.choice(DELAYS_SECONDS))
    await product.service.kill()
    await product.service.start()
    await product.service.ended(job["id"])


async def until_begun(state_dir: Path, job_id: str, step: str) -> None:
    """Until a step of a job has begun or the job has ended; read from the file, to be there in milliseconds."""
    query = """SELECT 1 FROM job_step WHERE job_id = :job AND key = :step
               UNION SELECT 1 FROM job WHERE id = :job AND finished_at IS NOT NULL"""
    with contextlib.closing(sqlite3.connect(state_dir / "state" / "state.db")) as database:
        async with asyncio.timeout(60):
            while database.execute(query, {"job": job_id, "step": step}).fetchone() is None:
                await asyncio.sleep(0.005)


async def live_backups(product: Product) -> list[dict[str, Any]]:
    """Every Backup the cluster knows."""
    async with product.kube() as kube:
        return (await kube.list(BACKUPS, "velero")).items
