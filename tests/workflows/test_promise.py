"""The promise under pressure: damaged backups, foreign hands, kills and failed restores."""

import asyncio
import json
import os
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import CONFIG_MAPS, NAMESPACES
from app.sandbox import supervisor
from tests.journal import has_step, until_step
from tests.waiting import eventually
from tests.workflows.conftest import NAME, Product, running_product
from tests.workflows.surplus import watched_surplus


async def test_survived_a_drain_gets_its_naked_pods_back_by_repair(tmp_path: Path) -> None:
    """The drain deletes pods without a controller; the start restores exactly them, and no surplus pod is seen."""
    async with running_product(tmp_path, WORKFLOW__POWER_OFF="drain") as product:
        tasks = {name for name in await product.pods() if len(name.partition("/")[2]) == 32}
        await product.stop()
        job = await product.start()
        assert job["result"]["action"] == "repair"
        assert {name.removeprefix("pods ") for name in job["result"]["restored"]["rerun_tasks"]} == tasks
        assert tasks <= set(await product.pods())
        async with watched_surplus(product) as surplus:
            await product.settled()
        assert surplus == []


async def test_somebody_powering_the_cluster_meanwhile_is_reported_and_not_repaired(product: Product) -> None:
    """The backup is not that of the power-off this start undoes."""
    await product.stop()
    await supervisor.power_on(product.state_dir, NAME)
    await supervisor.power_off(product.state_dir, NAME)
    job = await product.start()
    assert job["result"]["action"] == "survived"
    assert job["result"]["restore_outstanding"] is None


async def test_a_stop_on_a_cluster_recreated_by_somebody_is_refused(product: Product) -> None:
    """Backing the empty cluster up would push the good backup out."""
    good = (await product.stop())["result"]["backup"]
    await product.recreate()
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "restore-outstanding")
    assert job["error"]["backup"] == good
    assert product.state() == "running"
    refused = await product.service.post(f"/instances/{NAME}/stop")
    assert (refused.status_code, refused.json()["code"]) == (409, "restore-outstanding")


async def test_an_outstanding_restore_can_be_given_up(product: Product) -> None:
    """Then the cluster is backed up as it is."""
    await product.stop()
    await product.recreate()
    await product.stop()
    accepted = await product.service.post(f"/instances/{NAME}/restore-outstanding/accept")
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["restore_outstanding"] is None
    assert (await product.stop())["result"]["protected"]


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


@pytest.mark.parametrize(
    "how",
    [
        "tar-overwritten",
        "tar-truncated",
        "tar-bit-flipped",
        "tar-missing",
        "metadata-missing",
        "metadata-finalizing",
        "object-missing",
    ],
)
async def test_a_damaged_backup_never_lets_the_cluster_be_stopped(product: Product, how: str) -> None:
    """Velero says Completed; the proof says what is wrong, and the cluster runs on."""
    product.faults(damage_backup={"how": how})
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "proof-failed")
    assert job["error"]["findings"]
    assert product.state() == "running"


@pytest.mark.parametrize("how", ["item-missing", "item-older"])
async def test_an_object_lost_on_the_way_into_the_backup_is_named(product: Product, how: str) -> None:
    """One object of a hundred, left out or in an older version."""
    await product.add_config_map("precious", "internal")
    product.faults(damage_backup={"how": how, "resource": "configmaps", "namespace": "internal", "name": "precious"})
    job = await product.stop()
    assert job["error"]["code"] == "proof-failed"
    assert "configmaps internal/precious" in job["error"]["findings"][0]["detail"]
    assert product.state() == "running"


@pytest.mark.parametrize("phase", ["PartiallyFailed", "Failed"])
async def test_a_backup_that_velero_itself_calls_bad_stops_nothing(product: Product, phase: str) -> None:
    """Any end but Completed."""
    product.faults(backup_phase=phase)
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "backup-failed")
    assert product.state() == "running"


async def test_best_effort_powers_off_and_says_unprotected(product: Product) -> None:
    """The caller said so beforehand."""
    product.faults(backup_phase="Failed")
    job = await product.stop(mode="best_effort")
    assert job["status"] == "succeeded"
    assert job["result"]["protected"] is False
    assert product.state() == "stopped"


async def test_a_narrowed_backup_protects_nothing(product: Product) -> None:
    """It opens the gate only for who says best effort, and the job says what that means."""
    body = {"backup": {"include_namespaces": ["internal"]}}
    refused = await product.service.post(f"/instances/{NAME}/stop", body)
    assert refused.status_code == 422
    assert "best_effort" in refused.json()["detail"]
    job = await product.stop(mode="best_effort", include_namespaces=["internal"])
    assert (job["status"], job["result"]["protected"]) == ("succeeded", False)
    assert "only the part" in job["result"]["reason"]
    again = await product.stop()
    assert (again["result"]["noop"], again["result"]["protected"]) == (True, False)


async def test_a_sixth_stop_prunes_the_oldest_backup(tmp_path: Path) -> None:
    """Five proven full backups stay, in the list and in the bucket."""
    async with running_product(tmp_path, WORKFLOW__KEEP_LAST="3") as product:
        names = [(await product.back_up())["result"]["backup"] for _ in range(4)]
        kept = {row["id"] for row in await product.backups()}
        assert kept == set(names[1:])
        proofs = tmp_path / "instances" / NAME / "proofs"
        assert {path.name for path in proofs.iterdir()} == kept


async def test_pruning_that_takes_too_long_is_a_warning_and_goes_on_next_time(tmp_path: Path) -> None:
    """The backup counts; what should have gone is still there."""
    settings = {"WORKFLOW__KEEP_LAST": "1", "WORKFLOW__PRUNE_TIMEOUT_SECONDS": "1"}
    async with running_product(tmp_path, **settings) as product:
        first = (await product.back_up())["result"]["backup"]
        product.faults(slow={"deletion:InProgress": 60})
        job = await product.back_up()
        assert [warning["code"] for warning in job["warnings"]] == ["prune-backups-failed"]
        assert {row["id"] for row in await product.backups()} == {first, job["result"]["backup"]}
        product.faults()
        third = (await product.back_up())["result"]["backup"]
        assert {row["id"] for row in await product.backups()} == {third}


async def test_a_lost_database_is_rebuilt_from_the_proofs_on_the_host(product: Product) -> None:
    """The start of a recreated cluster finds its backup all the same."""
    await product.add_config_map("kept")
    backup = (await product.stop())["result"]["backup"]
    await product.service.kill()
    for path in (product.state_dir / "state").glob("state.db*"):
        path.unlink()
    await product.service.start()
    assert [(row["id"], row["status"]) for row in await product.backups()] == [(backup, "proven")]
    await product.recreate()
    job = await product.start()
    assert (job["result"]["action"], job["result"]["backup"]) == ("restore", backup)
    assert await product.has_config_map("kept")


async def test_a_backup_only_the_bucket_knows_is_unproven_and_pruned_in_its_turn(tmp_path: Path) -> None:
    """Database and proofs are gone; the next backup finds what lies in the bucket, and keep-last lets it go."""
    async with running_product(tmp_path, WORKFLOW__KEEP_LAST="2") as product:
        first = (await product.back_up())["result"]["backup"]
        await product.service.kill()
        for path in (tmp_path / "state").glob("state.db*"):
            path.unlink()
        shutil.rmtree(tmp_path / "instances" / NAME / "proofs" / first)
        await product.service.start()
        assert await product.backups() == []
        await product.back_up()
        rows = {row["id"]: (row["status"], row["scope"]) for row in await product.backups()}
        assert rows[first] == ("unproven", "full")
        job = await product.back_up()
        assert job["result"]["pruned"] == [first]


async def test_narrow_backups_prune_nothing_full(tmp_path: Path) -> None:
    """They are kept apart."""
    async with running_product(tmp_path, WORKFLOW__KEEP_LAST="2") as product:
        full = (await product.back_up())["result"]["backup"]
        for _ in range(3):
            narrow = await product.back_up(include_namespaces=["internal"])
            assert narrow["result"]["scope"] == "partial"
        rows = {row["id"]: row["scope"] for row in await product.backups()}
        assert rows[full] == "full"
        assert sorted(rows.values()) == ["full", "partial", "partial"]


async def test_killed_after_the_proof_an_object_added_meanwhile_is_in_the_final_backup(tmp_path: Path) -> None:
    """The proof grows old while the service is dead, so the backup is made anew."""
    async with running_product(tmp_path, WORKFLOW__PROOF_MAX_AGE_SECONDS="2") as product:
        job_id = await killed_between_proof_and_power_off(product)
        await product.add_config_map("late")
        await asyncio.sleep(2.5)  # the proof must really grow old
        await product.service.start()
        job = await product.service.ended(job_id)
        assert job["status"] == "succeeded", job["error"]
        await product.recreate()
        await product.start()
        assert await product.has_config_map("late")


async def killed_between_proof_and_power_off(product: Product) -> str:
    """The id of a stop whose service was killed there; nothing holds that gap open, so a miss is tried again."""
    for _ in range(5):
        job_id: str = (await product.service.post(f"/instances/{NAME}/stop")).json()["id"]
        await until_step(product.state_dir, job_id, "prove-backup", succeeded=True)
        await product.service.kill()
        if not has_step(product.state_dir, job_id, "power-off"):
            return job_id
        await product.service.start()
        await product.service.ended(job_id)
        await product.start()
    raise AssertionError("five stops went from the proof to the power-off faster than a kill")


async def test_a_lost_mount_is_refused_before_anything_is_touched(product: Product) -> None:
    """MinIO's directory must be the host's: a link out of the mount would die with the node."""
    elsewhere = product.state_dir / "elsewhere"
    elsewhere.mkdir()
    product.bucket.symlink_to(elsewhere)
    job = await product.stop()
    assert job["error"]["code"] in {"storage-not-on-host", "host-directory-unusable"}
    assert product.state() == "running"
    assert "velero" not in await product.namespaces()


async def test_a_foreign_velero_is_refused(product: Product) -> None:
    """Somebody else's installation is left alone."""
    async with product.kube() as kube:
        await kube.create(NAMESPACES, {"metadata": {"name": "velero"}})
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "foreign-velero")
    assert product.state() == "running"


async def test_a_full_disk_is_refused(tmp_path: Path) -> None:
    """Before anything is touched."""
    async with running_product(tmp_path, STACK__MIN_FREE_BYTES=str(10**18)) as product:
        job = await product.stop()
        assert job["error"]["code"] == "insufficient-storage"
        assert product.state() == "running"


async def test_a_missing_image_is_named(tmp_path: Path) -> None:
    """With the setting that overrides it."""
    image = "registry.invalid/minio/minio:nope"
    async with running_product(tmp_path, STACK__IMAGES__MINIO=image) as product:
        job = await product.stop()
        assert job["error"]["code"] == "image-missing"
        assert image in json.dumps(job["error"])
        assert product.state() == "running"


async def test_a_dead_api_server_ends_the_job_with_a_clear_problem(tmp_path: Path) -> None:
    """Half of the cluster is gone; nobody takes that for on or off."""
    async with running_product(tmp_path, WORKFLOW__RETRY_TIMEOUT_SECONDS="1") as product:
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


async def test_a_terminating_namespace_is_left_out_and_listed(product: Product) -> None:
    """It cannot be saved, and the stop says so instead of hanging."""
    async with product.kube() as kube:
        body = {"metadata": {"name": "held", "namespace": "internal", "finalizers": ["example.com/hold"]}}
        await kube.create(CONFIG_MAPS, body, "internal")
        await kube.delete(NAMESPACES, "internal")
    job = await product.stop()
    assert job["status"] == "succeeded", job["error"]
    assert {"kind": "namespace", "name": "internal", "reason": "it is being deleted"} in job["result"]["not_saved"]
