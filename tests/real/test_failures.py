"""What goes wrong on real clusters, and how a stop or a start ends then: in time, in words, and nothing lost."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import PODS
from app.velero.bodies import custom_resource
from app.velero.models import BACKUPS, RESTORES
from app.velero.stack.freshness import VELERO_PODS
from tests.instances import NAME
from tests.journal import until_step
from tests.product import Product, running_product
from tests.real.available import need_real_clusters
from tests.real.images import BUSYBOX
from tests.real.instance import RealInstance
from tests.waiting import eventually

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
MINIO_PODS = "app=minio"


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """A product on a real cluster, with deadlines a test can wait for."""
    need_real_clusters()
    settings = {"WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1", "WORKFLOW__BACKUP_TIMEOUT_SECONDS": "40"}
    async with running_product(RealInstance(tmp_path), **settings) as running:
        yield running


async def add_pod_with_hook(product: Product, command: list[str]) -> None:
    """A pod in which Velero runs a command before it saves it."""
    annotations = {"pre.hook.backup.velero.io/command": json.dumps(command)}
    container = {"name": "app", "image": BUSYBOX, "command": ["sleep", "86400"]}
    pod = {
        "metadata": {"name": "hooked", "annotations": annotations},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0},
    }
    async with product.kube() as kube:
        await kube.create(PODS, pod, "internal")
    await product.settled()


async def kill_pods(product: Product, selector: str) -> None:
    """As when the kernel ends them for want of memory: no grace, and their controller makes new ones."""
    async with product.kube() as kube:
        for pod in (await kube.list(PODS, "velero", label_selector=selector)).items:
            await kube.delete(PODS, pod["metadata"]["name"], "velero", grace_seconds=0)


async def backup_phase(product: Product) -> str:
    """Of the one backup there is."""
    async with product.kube() as kube:
        backups = (await kube.list(BACKUPS, "velero")).items
    return str((backups[0].get("status") or {}).get("phase")) if backups else ""


async def until_backup_runs(product: Product) -> None:
    """Until Velero works at it."""

    async def runs() -> bool:
        return await backup_phase(product) == "InProgress"

    await eventually(runs)


async def begun(product: Product, step: str) -> str:
    """A stop that has come to that step; its id."""
    job_id: str = (await product.service.post(f"/instances/{NAME}/stop")).json()["id"]
    await until_step(product.state_dir, job_id, step)
    return job_id


async def test_a_backup_with_a_failing_hook_stops_nothing(product: Product) -> None:
    """Velero calls it PartiallyFailed; its reasons are in the problem."""
    await add_pod_with_hook(product, ["/bin/false"])
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "backup-failed")
    assert job["error"]["phase"] == "PartiallyFailed"
    assert job["error"]["reasons"] == ["message: /Error executing hook error: /command terminated with exit code 1"]
    assert job["error"]["reasons"][0] in job["error"]["detail"]
    assert product.state() == "running"


async def test_a_backup_that_a_killed_velero_left_is_made_once_more(product: Product) -> None:
    """The next server fails what the last one did not end; the stop says so and goes on with another Backup."""
    await add_pod_with_hook(product, ["/bin/sleep", "6"])
    job_id = await begun(product, "wait-for-backup")
    await until_backup_runs(product)
    await kill_pods(product, VELERO_PODS)
    job = await product.service.ended(job_id)
    assert (job["status"], job["result"]["protected"]) == ("succeeded", True), job["error"]
    assert [warning["code"] for warning in job["warnings"]] == ["backup-made-again"]
    assert product.state() == "stopped"


async def test_minio_killed_before_the_proof_is_waited_for(product: Product) -> None:
    """The files are on the host, so the proof is only later."""
    await add_pod_with_hook(product, ["/bin/sleep", "3"])
    job_id = await begun(product, "wait-for-backup")
    await until_step(product.state_dir, job_id, "prove-backup")
    await kill_pods(product, MINIO_PODS)
    job = await product.service.ended(job_id)
    assert (job["status"], job["result"]["protected"]) == ("succeeded", True), job["error"]


async def test_a_node_restarted_during_the_backup_is_backed_up_again_before_it_is_powered_off(product: Product) -> None:
    """Nobody takes a cluster that was off for a moment for a stopped one, or half a backup for a whole one."""
    await add_pod_with_hook(product, ["/bin/sleep", "8"])
    job_id = await begun(product, "wait-for-backup")
    await until_backup_runs(product)
    await product.instance.power_off()
    await product.instance.power_on()
    job = await product.service.ended(job_id)
    assert (job["status"], job["result"]["protected"]) == ("succeeded", True), job["error"]
    assert "backup-made-again" in {warning["code"] for warning in job["warnings"]}
    assert product.state() == "stopped"
    assert "prove-backup#2" in await product.steps(job)


@pytest.mark.parametrize("how", [pytest.param("changed", marks=pytest.mark.long), "gone"])
async def test_an_archive_damaged_on_the_disk_is_not_restored_but_the_one_before(product: Product, how: str) -> None:
    """MinIO finds the rot itself and refuses to read it; the start says what was lost by going back."""
    await product.add_config_map("first")
    older = (await product.back_up())["result"]["backup"]
    await product.add_config_map("second")
    newest = (await product.stop())["result"]["backup"]
    stored = product.bucket / "velero" / "backups" / newest / f"{newest}.tar.gz" / "xl.meta"
    if how == "gone":
        stored.unlink()
    else:
        content = bytearray(stored.read_bytes())
        content[-400] ^= 0xFF
        stored.write_bytes(content)
    await product.recreate()
    job = await product.start()
    assert job["status"] == "succeeded", job["error"]
    assert job["result"]["backup"] == older
    assert newest in json.dumps(job["warnings"])
    assert await product.has_config_map("first")
    assert not await product.has_config_map("second")


@pytest.mark.parametrize("resource", [BACKUPS, RESTORES], ids=lambda each: each.kind)
async def test_work_of_somebody_else_that_waits_for_velero_is_left_alone(product: Product, resource: Any) -> None:
    """A server that starts would run it, so none is started."""
    assert (await product.back_up())["status"] == "succeeded"
    spec = {"backupName": "theirs"} if resource is RESTORES else {}

    async def asleep() -> bool:
        async with product.kube() as kube:
            return (await kube.list(PODS, "velero")).items == []

    await eventually(asleep)
    async with product.kube() as kube:
        await kube.create(resource, custom_resource(resource, "velero", "theirs", spec), "velero")
        job = await product.stop()
        assert (job["status"], job["error"]["code"], job["error"]["status"]) == (
            "failed",
            "foreign-work-in-progress",
            409,
        )
        assert "theirs" in job["error"]["detail"]
        assert "phase" not in ((await kube.get(resource, "theirs", "velero")).get("status") or {})
    assert product.state() == "running"


@pytest.mark.long
@pytest.mark.parametrize(
    ("component", "words"),
    [("MINIO", "pod 'minio-0' does not run"), ("VELERO", f"{BUSYBOX} did not print its CRDs: StartError: ")],
)
async def test_an_image_with_something_else_in_it_is_said_with_its_last_words(
    tmp_path: Path, component: str, words: str
) -> None:
    """The pod starts and ends again and again: known within seconds, not at the deadline."""
    need_real_clusters()
    wrong = {f"STACK__IMAGES__{component}": BUSYBOX}
    async with running_product(RealInstance(tmp_path), **wrong) as product:
        job = await product.stop()
        assert (job["status"], job["error"]["code"]) == ("failed", "stack-not-ready"), job["error"]
        assert words in job["error"]["detail"]
        assert product.state() == "running"


async def test_a_host_directory_that_was_moved_away_is_found_by_the_proof(product: Product) -> None:
    """The node goes on writing where it was; Velero is content, but nothing lies where the next start would look."""
    data = product.state_dir / "instances" / NAME / "data"
    data.rename(data.with_name("moved"))
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "proof-failed"), job["error"]
    assert [finding["code"] for finding in job["error"]["findings"]] == ["canary"]
    assert str(data) in job["error"]["detail"]
    assert product.state() == "running"
