"""A restore and a stop killed in each of their steps, in every world; tests/chaos does so at random."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.harness import SETTINGS
from tests.chaos.rounds import FULL_RESTORE
from tests.chaos.victims import kill_in
from tests.instances import NAME
from tests.product import sandbox_product
from tests.workflows.conftest import Products

STOP = [
    "require-storage",
    "prepare-scope",
    "take-inventory",
    "wake-stack",
    "choose-backup-name",
    "create-backup",
    "wait-for-backup",
    "prove-backup",
    "list-changes-since-backup",
    "power-off",
    "verify-off",
]


MIGRATION = ["ask-kecs", "create-backup", "prove-backup", "check-coverage", "switch-policy"]


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_stop_killed_in_each_of_its_steps_still_ends_with_a_proof(products: Products) -> None:
    """One job, killed and resumed in each; the proof that counted was fresh."""
    async with products(**SETTINGS) as product:
        job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/stop")).json()
        for step in STOP:
            await kill_in(product, job, step)
        ended = await product.service.ended(job["id"])
        assert (ended["status"], ended["result"]["protected"]) == ("succeeded", True), ended["error"]
        assert product.state() == "stopped"
        assert (await product.start(rerun_tasks="skip"))["result"]["restored"]["created"] == 0


@pytest.mark.whatever_driver
@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_full_restore_killed_in_each_of_its_steps_still_brings_everything_back(products: Products) -> None:
    """One job, killed and resumed ten times."""
    async with products(**SETTINGS) as product:
        await product.stop()
        await product.recreate()
        job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/start")).json()
        for step in FULL_RESTORE:
            await kill_in(product, job, step)
        ended = await product.service.ended(job["id"])
        assert (ended["status"], ended["attempt"]) == ("succeeded", len(FULL_RESTORE) + 1)
        comparison = ended["result"]["restored"]["comparison"]
        assert (comparison["missing"], comparison["differing"]) == ([], [])
        assert ended["result"]["restore_outstanding"] is None


async def test_a_migration_killed_in_each_of_its_steps_switches_once(tmp_path: Path) -> None:
    """One job with one backup; the way back is what the policy said before the first attempt."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in", **SETTINGS) as product:
        job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/migration")).json()
        for step in MIGRATION:
            await kill_in(product, job, step)
        ended = await product.service.ended(job["id"])
        assert (ended["status"], ended["result"]["switched"]) == ("succeeded", True), ended["error"]
        assert len(await product.backups()) == 1
        assert (await product.service.run(f"/instances/{NAME}/migration", {"back": True}))["result"][
            "use_velero_backup"
        ] is None
