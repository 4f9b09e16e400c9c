"""Twenty-five SIGKILLs of the service at random moments of stops and starts, and nothing lost, doubled or unproven."""

import asyncio
import os
import random
from pathlib import Path
from typing import Any

import pytest

from app.velero.models import BACKUPS
from tests.chaos.checker import Checker
from tests.workflows.conftest import NAME, Product, running_product

KILLS = int(os.environ.get("KECS_STATE_TEST_KILLS", "25"))
SEED = int(os.environ.get("KECS_STATE_TEST_SEED", "20261123"))
#: A little more than a stop or a start takes here, so that kills fall on every step and now and then after the end.
LONGEST_SECONDS = 3.5
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
            await one_kill(product, moments.uniform(0, LONGEST_SECONDS))
        await product.start()
        backups = await live_backups(product)
        checker = Checker(tmp_path, NAME, proof_max_age_seconds=PROOF_MAX_AGE_SECONDS)
        assert len(checker.power_offs) >= KILLS // 4, "too few power-offs to say anything"
        assert checker.unended_jobs() == []
        assert checker.failed_jobs() == []
        assert checker.doubled_backups(backups) == []
        assert checker.unproven_power_offs() == []


async def one_kill(product: Product, seconds: float) -> None:
    """Begin a stop or a start, kill the service after that long, restart it, and wait for the job's end."""
    operation = "stop" if product.state() == "running" else "start"
    job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/{operation}")).json()
    await asyncio.sleep(seconds)
    await product.service.kill()
    await product.service.start()
    await product.service.ended(job["id"])


async def live_backups(product: Product) -> list[dict[str, Any]]:
    """Every Backup the cluster knows."""
    async with product.kube() as kube:
        return (await kube.list(BACKUPS, "velero")).items
