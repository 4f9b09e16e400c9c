"""The promise under pressure, in every world: foreign hands, kills, lost records and what must not be touched."""

import asyncio
import json
import shutil

import pytest

from app.host.credentials import ensure_credentials
from app.host.instance_directory import InstanceDirectory
from app.kubernetes.resources import CONFIG_MAPS, NAMESPACES
from app.storage import layout
from app.storage.s3 import S3Store
from tests.instances import NAME
from tests.journal import has_step, until_step
from tests.product import Product
from tests.workflows.conftest import Products
from tests.workflows.surplus import watched_surplus


async def test_survived_a_drain_gets_its_naked_pods_back_by_repair(products: Products) -> None:
    """The drain deletes pods without a controller; the start restores exactly them, and no surplus pod is seen."""
    async with products(WORKFLOW__POWER_OFF="drain") as product:
        tasks = {name for name in await product.pods() if len(name.partition("/")[2]) == 32}
        await product.stop()
        job = await product.start()
        assert job["result"]["action"] == "repair"
        assert {name.removeprefix("pods ") for name in job["result"]["restored"]["rerun_tasks"]} == tasks
        assert tasks <= set(await product.pods())
        async with watched_surplus(product) as surplus:
            await product.settled()
        assert surplus == []


@pytest.mark.seldom_on_real
async def test_somebody_powering_the_cluster_meanwhile_is_reported_and_not_repaired(product: Product) -> None:
    """The backup is not that of the power-off this start undoes."""
    await product.stop()
    await product.instance.power_on()
    await product.instance.power_off()
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


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
async def test_an_outstanding_restore_can_be_given_up(product: Product) -> None:
    """Then the cluster is backed up as it is."""
    await product.stop()
    await product.recreate()
    await product.stop()
    accepted = await product.service.post(f"/instances/{NAME}/restore-outstanding/accept")
    assert accepted.status_code == 200, accepted.text
    assert accepted.json()["restore_outstanding"] is None
    assert (await product.stop())["result"]["protected"]


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
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


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
async def test_a_sixth_stop_prunes_the_oldest_backup(products: Products) -> None:
    """Five proven full backups stay, in the list and in the bucket."""
    async with products(WORKFLOW__KEEP_LAST="3") as product:
        names = [(await product.back_up())["result"]["backup"] for _ in range(4)]
        kept = {row["id"] for row in await product.backups()}
        assert kept == set(names[1:])
        proofs = product.state_dir / "instances" / NAME / "proofs"
        assert {path.name for path in proofs.iterdir()} == kept


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
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


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
async def test_a_backup_only_the_bucket_knows_is_unproven_and_pruned_in_its_turn(products: Products) -> None:
    """Database and proofs are gone; the next backup finds what lies in the bucket, and keep-last lets it go."""
    async with products(WORKFLOW__KEEP_LAST="2") as product:
        first = (await product.back_up())["result"]["backup"]
        await product.service.kill()
        for path in (product.state_dir / "state").glob("state.db*"):
            path.unlink()
        shutil.rmtree(product.state_dir / "instances" / NAME / "proofs" / first)
        await product.service.start()
        shown = {first: "unproven"} if product.instance.objects_show_on_host else {}
        assert {row["id"]: row["status"] for row in await product.backups()} == shown
        await product.back_up()
        rows = {row["id"]: (row["status"], row["scope"]) for row in await product.backups()}
        assert rows[first] == ("unproven", "full")
        job = await product.back_up()
        assert job["result"]["pruned"] == [first]


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
async def test_an_archive_replaced_through_s3_is_not_restored_but_the_one_before(product: Product) -> None:
    """A whole and readable one, but not what was proven; the start says what was lost by going back."""
    await product.add_config_map("first")
    older = (await product.back_up())["result"]["backup"]
    await product.add_config_map("second")
    newest = (await product.back_up())["result"]["backup"]
    woken = await product.service.run(f"/instances/{NAME}/stack/wake")
    keys = ensure_credentials(InstanceDirectory.open(product.state_dir / "instances", NAME))
    async with S3Store(woken["result"]["s3_url"], keys, "velero") as store:
        content = await store.get(layout.contents_key(older))
        await store.put(layout.contents_key(newest), content)
    await product.recreate()
    job = await product.start()
    assert job["result"]["backup"] == older
    assert "backup-damaged" in {warning["code"] for warning in job["warnings"]}
    assert "configmaps default/second" in json.dumps(job["warnings"])
    assert (await product.has_config_map("first"), await product.has_config_map("second")) == (True, False)


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
async def test_narrow_backups_prune_nothing_full(products: Products) -> None:
    """They are kept apart."""
    async with products(WORKFLOW__KEEP_LAST="2") as product:
        full = (await product.back_up())["result"]["backup"]
        for _ in range(3):
            narrow = await product.back_up(include_namespaces=["internal"])
            assert narrow["result"]["scope"] == "partial"
        rows = {row["id"]: row["scope"] for row in await product.backups()}
        assert rows[full] == "full"
        assert sorted(rows.values()) == ["full", "partial", "partial"]


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
async def test_killed_after_the_proof_an_object_added_meanwhile_is_in_the_final_backup(products: Products) -> None:
    """The proof grows old while the service is dead, so the backup is made anew."""
    async with products(WORKFLOW__PROOF_MAX_AGE_SECONDS="2") as product:
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


@pytest.mark.whatever_driver
async def test_a_foreign_velero_is_refused(product: Product) -> None:
    """Somebody else's installation is left alone."""
    async with product.kube() as kube:
        await kube.create(NAMESPACES, {"metadata": {"name": "velero"}})
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "foreign-velero")
    assert product.state() == "running"


@pytest.mark.seldom_on_real
async def test_a_missing_image_is_named(products: Products) -> None:
    """With the setting that overrides it."""
    image = "registry.invalid/minio/minio:nope"
    async with products(STACK__IMAGES__MINIO=image) as product:
        job = await product.stop()
        assert job["error"]["code"] == "image-missing"
        assert image in json.dumps(job["error"])
        assert product.state() == "running"


@pytest.mark.whatever_driver
async def test_a_terminating_namespace_is_left_out_and_listed(product: Product) -> None:
    """It cannot be saved, and the stop says so instead of hanging."""
    async with product.kube() as kube:
        body = {"metadata": {"name": "held", "namespace": "internal", "finalizers": ["example.com/hold"]}}
        await kube.create(CONFIG_MAPS, body, "internal")
        await kube.delete(NAMESPACES, "internal")
    job = await product.stop()
    assert job["status"] == "succeeded", job["error"]
    assert {"kind": "namespace", "name": "internal", "reason": "it is being deleted"} in job["result"]["not_saved"]
