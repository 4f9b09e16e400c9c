"""The two stories with their endings, on a real service process and in every world."""

import pytest

from app.kubernetes.resources import CONFIG_MAPS, PODS
from tests.instances import NAME
from tests.product import Product
from tests.waiting import eventually
from tests.workflows.surplus import watched_surplus


async def test_an_empty_post_stops_an_instance_with_a_proof(product: Product) -> None:
    """The main job: off, and every object of the inventory in the backup."""
    job = await product.stop()
    assert job["status"] == "succeeded", job["error"]
    assert product.state() == "stopped"
    proof = job["result"]["proof"]
    assert proof["items_in_inventory"] >= 80
    assert proof["canary"] == "found"
    assert all(len(digest) == 64 for digest in proof["sha256"].values())


@pytest.mark.seldom_on_real
async def test_stopping_a_stopped_instance_does_nothing_and_says_who_protected_it(product: Product) -> None:
    """A noop, still protected by the stop that turned it off."""
    first = await product.stop()
    second = await product.stop()
    assert second["result"]["noop"]
    assert second["result"]["protected"]
    assert second["result"]["backup"] == first["result"]["backup"]


async def test_survived_a_crash_consistent_power_off_has_nothing_to_restore(product: Product) -> None:
    """Every pod is the one it was; of tasks that do not run on by themselves test_tasks.py tells."""
    before = await product.pods()
    await product.stop()
    job = await product.start(rerun_tasks="skip")
    assert job["result"]["action"] == "repair"
    assert job["result"]["restored"]["created"] == 0
    assert job["result"]["restored"]["looked_for"] >= 80
    assert before.items() <= (await product.pods()).items()
    assert job["result"]["restore_outstanding"] is None
    assert "wake-stack" not in await product.steps(job), "nothing was missing, so nobody had to be woken"


async def test_recreated_clusters_get_everything_back(product: Product) -> None:
    """New identity, everything restored and equal, nothing outstanding."""
    await product.instance.seed_custom_resources()
    await product.stop()
    await product.recreate()
    await product.instance.power_off()
    job = await product.start()
    assert job["result"]["action"] == "restore"
    comparison = job["result"]["restored"]["comparison"]
    assert (comparison["missing"], comparison["differing"]) == ([], [])
    assert comparison["equal"] == comparison["compared"] >= 80
    assert 0 < job["result"]["restored"]["created"] <= comparison["compared"]
    assert job["result"]["restore_outstanding"] is None


@pytest.mark.seldom_on_real
async def test_already_running_with_a_new_identity_is_restored_too(product: Product) -> None:
    """Somebody's own start has recreated the cluster before ours."""
    await product.add_config_map("kept")
    await product.stop()
    await product.recreate()
    job = await product.start()
    assert job["result"]["action"] == "restore"
    assert await product.has_config_map("kept")


async def test_starting_a_running_instance_does_nothing(product: Product) -> None:
    """The recorded cluster, running: noop."""
    await product.back_up()
    job = await product.start()
    assert (job["result"]["noop"], job["result"]["action"]) == (True, "noop")


@pytest.mark.seldom_on_real
async def test_an_instance_never_seen_is_recorded_and_left_alone(product: Product) -> None:
    """Without a record nothing is known that could be missing."""
    job = await product.start()
    assert job["result"]["action"] == "record"
    assert product.record.exists()


@pytest.mark.seldom_on_real
async def test_pods_never_exceed_their_replicas_during_a_restore(product: Product) -> None:
    """A watch over the whole restore sees no surplus pod of any ReplicaSet."""
    await product.stop()
    await product.recreate()
    async with watched_surplus(product) as surplus:
        job = await product.start()
    assert job["result"]["restored"]["comparison"]["missing"] == []
    assert surplus == []


async def test_a_stop_without_a_backup_says_unprotected(product: Product) -> None:
    """The caller said so."""
    job = await product.stop(mode="skip")
    assert product.state() == "stopped"
    assert job["result"]["protected"] is False
    assert await product.backups() == []


async def test_a_selective_restore_brings_back_one_namespace(product: Product) -> None:
    """And leaves the others as they are."""
    await product.add_config_map("in-shop", "shop-us-east-1")
    await product.add_config_map("in-media", "media-us-east-1")
    backup = (await product.back_up())["result"]["backup"]
    async with product.kube() as kube:
        await kube.delete(CONFIG_MAPS, "in-shop", "shop-us-east-1")
        await kube.delete(CONFIG_MAPS, "in-media", "media-us-east-1")
    body = {"restore": {"backup_id": backup, "namespaces": ["shop-us-east-1"]}}
    job = await product.service.run(f"/instances/{NAME}/restores", body)
    assert job["result"]["action"] == "selective", job
    assert await product.has_config_map("in-shop", "shop-us-east-1")
    assert not await product.has_config_map("in-media", "media-us-east-1")


@pytest.mark.seldom_on_real
async def test_a_selective_restore_by_label_compares_what_it_selects(product: Product) -> None:
    """The one object with the label, and no other."""
    await product.add_config_map("marked", labels={"keep": "me"})
    await product.add_config_map("plain")
    backup = (await product.back_up())["result"]["backup"]
    async with product.kube() as kube:
        await kube.delete(CONFIG_MAPS, "marked", "default")
        await kube.delete(CONFIG_MAPS, "plain", "default")
    body = {"restore": {"backup_id": backup, "selector": "keep=me"}}
    job = await product.service.run(f"/instances/{NAME}/restores", body)
    comparison = job["result"]["restored"]["comparison"]
    assert (comparison["compared"], comparison["equal"], job["result"]["restored"]["created"]) == (1, 1, 1)
    assert not await product.has_config_map("plain")


async def test_an_older_backup_is_restored_when_it_is_asked_for(product: Product) -> None:
    """By its name, also into a cluster that survived."""
    await product.add_config_map("old")
    older = (await product.back_up())["result"]["backup"]
    async with product.kube() as kube:
        await kube.delete(CONFIG_MAPS, "old", "default")
    await product.back_up()
    job = await product.start(backup_id=older)
    assert job["result"]["backup"] == older
    assert await product.has_config_map("old")


async def test_the_stack_sleeps_when_no_job_is_active(product: Product) -> None:
    """No pod of Velero or MinIO between jobs."""
    await product.back_up()

    async def asleep() -> bool:
        async with product.kube() as kube:
            return (await kube.list(PODS, "velero")).items == []

    await eventually(asleep)
