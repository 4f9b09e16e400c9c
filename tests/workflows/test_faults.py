"""Faults whose story goes on after the job: what the next one does. Single faults are rows of ``tests/faults``."""

import json
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.sandbox import supervisor
from app.sandbox.faults import set_faults
from app.velero.models import BACKUPS
from tests.chaos.victims import kill_pod
from tests.instances import NAME
from tests.journal import until_step
from tests.product import Product, sandbox_product
from tests.waiting import eventually


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """A product in the sandbox alone."""
    async with sandbox_product(tmp_path) as running:
        yield running


async def test_a_failed_restore_leaves_the_cluster_running_and_the_next_stop_refused(product: Product) -> None:
    """A warning, never a failed start; the backup stays due until it is restored or given up."""
    good = (await product.stop())["result"]["backup"]
    await product.recreate()
    product.faults(fail_restore=["configmaps/internal/registry"])
    job = await product.start()
    assert job["status"] == "succeeded"
    assert "restore-failed" in {warning["code"] for warning in job["warnings"]}
    assert job["result"]["restore_outstanding"] == good
    refused = await product.service.post(f"/instances/{NAME}/stop")
    assert (refused.status_code, refused.json()["code"]) == (409, "restore-outstanding")
    product.faults()
    again = await product.start()
    assert again["result"]["restore_outstanding"] is None
    assert (await product.stop())["result"]["protected"]


async def recreated_with_a_silent_store(product: Product, **rule: Any) -> str:
    """A cluster made anew after two backups, whose store has no answer to downloads; the newer backup's name."""
    await product.back_up()
    await product.add_config_map("newer")
    newer: str = (await product.stop())["result"]["backup"]
    await product.recreate()
    silent = {"how": "status", "path": "/velero/backups/*.tar.gz", "method": "GET", "code": 503, "reason": "SlowDown"}
    set_faults(supervisor.cluster_directory(product.state_dir, NAME), store=[silent | rule])
    return newer


async def test_a_store_that_is_silent_for_a_while_brings_back_no_older_state(product: Product) -> None:
    """Only damage makes a start fall back; whoever does not answer is asked again."""
    newer = await recreated_with_a_silent_store(product, times=4)
    job = await product.start()
    assert (job["status"], job["result"]["backup"]) == ("succeeded", newer)
    assert job["result"]["restore_outstanding"] is None
    assert "older-backup" not in {warning["code"] for warning in job["warnings"]}
    assert await product.has_config_map("newer")


async def test_with_a_store_that_stays_silent_the_newest_backup_stays_due(tmp_path: Path) -> None:
    """Nothing older is restored in its place; once the store answers, the next start brings everything back."""
    async with sandbox_product(tmp_path, WORKFLOW__RETRY_TIMEOUT_SECONDS="2") as product:
        newer = await recreated_with_a_silent_store(product)
        job = await product.start()
        assert "restore-failed" in {warning["code"] for warning in job["warnings"]}
        assert (job["status"], job["result"]["restore_outstanding"]) == ("succeeded", newer)
        product.faults()
        again = await product.start()
        assert (again["result"]["backup"], again["result"]["restore_outstanding"]) == (newer, None)
        assert await product.has_config_map("newer")


async def test_a_required_restore_that_fails_fails_the_start(product: Product) -> None:
    """The caller may ask for that."""
    await product.stop()
    await product.recreate()
    product.faults(fail_restore=["configmaps/internal/registry"])
    job = await product.start(required=True)
    assert (job["status"], job["error"]["code"]) == ("failed", "restore-failed")
    assert product.state() == "running"


async def test_one_changed_field_of_one_restored_object_is_listed(product: Product) -> None:
    """The whole content is compared, not names."""
    await product.add_config_map("settings", "internal")
    await product.stop()
    await product.recreate()
    product.faults(
        change_restored={
            "resource": "configmaps", "namespace": "internal", "name": "settings", "path": ["data", "key"], "value": "x"
        }
    )  # fmt: skip
    job = await product.start()
    differing = job["result"]["restored"]["comparison"]["differing"]
    assert [each["object"] for each in differing] == ["configmaps internal/settings"]
    assert differing[0]["fields"] == [{"path": "/data/key", "before": "settings", "after": "x"}]
    assert job["result"]["restore_outstanding"] is None


async def test_pruning_that_takes_too_long_is_a_warning_and_goes_on_next_time(tmp_path: Path) -> None:
    """The backup counts; what should have gone is still there."""
    settings = {"WORKFLOW__KEEP_LAST": "1", "WORKFLOW__PRUNE_TIMEOUT_SECONDS": "1"}
    async with sandbox_product(tmp_path, **settings) as product:
        first = (await product.back_up())["result"]["backup"]
        product.faults(slow={"deletion:InProgress": 60})
        job = await product.back_up()
        assert [warning["code"] for warning in job["warnings"]] == ["prune-backups-failed"]
        assert {row["id"] for row in await product.backups()} == {first, job["result"]["backup"]}
        product.faults()
        third = (await product.back_up())["result"]["backup"]
        assert {row["id"] for row in await product.backups()} == {third}


async def test_a_dead_api_server_ends_the_job_with_a_clear_problem(tmp_path: Path) -> None:
    """Half of the cluster is gone; nobody takes that for on or off."""
    async with sandbox_product(tmp_path, WORKFLOW__RETRY_TIMEOUT_SECONDS="1") as product:
        directory = supervisor.cluster_directory(tmp_path, NAME)
        api: dict[str, Any] = json.loads((directory / "cluster.json").read_text())["api"]
        os.kill(int(api["pid"]), signal.SIGKILL)

        async def half_off() -> bool:
            return product.state() == "half-off"

        await eventually(half_off)
        for job in (await product.stop(), await product.start()):
            assert (job["status"], job["error"]["code"]) == ("failed", "cluster-half-off")
        await product.stop(mode="skip")
        assert product.state() == "stopped"
        assert (await product.start())["status"] == "succeeded", "the way out the problem names leads out"


async def test_a_stop_while_a_job_runs_names_that_job(product: Product) -> None:
    """409 with the id."""
    first = (await product.service.post(f"/instances/{NAME}/backups")).json()
    second = await product.service.post(f"/instances/{NAME}/stop")
    assert (second.status_code, second.json()["code"]) == (409, "operation-in-progress")
    assert second.json()["job_id"] == first["id"]


async def test_a_cancelled_stop_leaves_the_cluster_running(product: Product) -> None:
    """Possible until the power-off has begun."""
    product.faults(slow={"backup:InProgress": 5})
    job_id = (await product.service.post(f"/instances/{NAME}/stop")).json()["id"]
    await until_step(product.state_dir, job_id, "create-backup", succeeded=True)
    assert (await product.service.post(f"/jobs/{job_id}/cancel")).status_code == 202
    assert (await product.service.ended(job_id))["status"] == "cancelled"
    assert product.state() == "running"


async def test_a_backup_that_veleros_restart_broke_off_is_made_once_more(product: Product) -> None:
    """Its pod ends, mostly for want of memory; the stop goes on with another Backup, proven by itself, and says so."""
    product.faults(slow={"backup:InProgress": 2})
    job = (await product.service.post(f"/instances/{NAME}/stop")).json()
    await until_step(product.state_dir, job["id"], "wait-for-backup")
    assert await eventually_killed(product)
    product.faults()
    ended = await product.service.ended(job["id"])
    assert (ended["status"], ended["result"]["protected"], product.state()) == ("succeeded", True, "stopped")
    [warning] = ended["warnings"]
    assert (warning["code"], warning["cause"]) == ("backup-made-again", "backup-interrupted")
    assert "wait-for-backup#2" in await product.steps(ended)
    assert (await product.start())["result"]["restored"]["comparison"]["missing"] == []


async def test_a_velero_that_ends_in_each_backup_fails_the_stop(product: Product) -> None:
    """Once more and no oftener; the cluster runs on."""
    product.faults(crash="backup:InProgress")
    job = await product.stop()
    assert (job["status"], job["error"]["code"], product.state()) == ("failed", "backup-interrupted", "running")
    assert "memory" in job["error"]["remedy"]


async def eventually_killed(product: Product) -> bool:
    """Velero's process, once its Backup is in progress."""

    async def in_progress() -> bool:
        async with product.kube() as kube:
            backups = (await kube.list(BACKUPS, "velero")).items
        return any((backup.get("status") or {}).get("phase") == "InProgress" for backup in backups)

    await eventually(in_progress)
    return kill_pod(product, "velero")
