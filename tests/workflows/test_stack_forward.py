"""A stack that a person woke: MinIO can be reached from this machine, and Velero signs for that address."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.kubernetes.resources import STATEFUL_SETS
from app.velero.models import BACKUP_STORAGE_LOCATIONS
from tests.instances import NAME
from tests.product import Product, sandbox_product
from tests.waiting import eventually


@pytest.fixture
async def awake(tmp_path: Path) -> AsyncIterator[Product]:
    """A product whose stack a person has woken."""
    async with sandbox_product(tmp_path, WORKFLOW__PREFLIGHT_WAIT_SECONDS="1") as product:
        await product.service.run(f"/instances/{NAME}/stack/wake")
        yield product


async def published(product: Product) -> str | None:
    """The location's public address."""
    async with product.kube() as kube:
        location = await kube.get(BACKUP_STORAGE_LOCATIONS, "default", "velero")
    url: str | None = location["spec"]["config"].get("publicUrl")
    return url


async def answers(url: str | None) -> bool:
    """Whether an S3 server is there; it refuses who does not sign."""
    try:
        async with httpx.AsyncClient() as client:
            return url is not None and (await client.get(url)).status_code == 403
    except httpx.TransportError:
        return False


async def test_waking_publishes_an_address_that_answers(product: Product) -> None:
    """And says it in the job's result."""
    job = await product.service.run(f"/instances/{NAME}/stack/wake")
    assert job["status"] == "succeeded", job["error"]
    assert job["result"]["s3_url"] == await published(product)
    assert await answers(job["result"]["s3_url"])


async def test_waking_twice_keeps_the_address(awake: Product) -> None:
    """Downloads that are under way go on."""
    before = await published(awake)
    job = await awake.service.run(f"/instances/{NAME}/stack/wake")
    assert job["result"]["s3_url"] == before


async def test_sleeping_withdraws_the_address(awake: Product) -> None:
    """The port is closed too."""
    url = await published(awake)
    await awake.service.run(f"/instances/{NAME}/stack/sleep")
    assert await published(awake) is None
    assert not await answers(url)


async def test_a_job_in_between_changes_nothing(awake: Product) -> None:
    """The stack stays up for the person."""
    url = await published(awake)
    assert (await awake.back_up())["status"] == "succeeded"
    assert await published(awake) == url
    assert await answers(url)


async def test_a_job_that_wakes_the_stack_publishes_nothing(product: Product) -> None:
    """Only people need the address."""
    await product.back_up()
    assert await published(product) is None


async def test_the_end_of_the_service_withdraws_the_address(awake: Product) -> None:
    """An address that nobody answers would only make downloads hang."""
    await awake.service.terminate()
    assert await published(awake) is None


@pytest.mark.parametrize("end", ["terminate", "kill"])
async def test_a_service_that_starts_again_opens_the_forward_anew(awake: Product, end: str) -> None:
    """However the earlier one has ended."""
    before = await published(awake)
    await getattr(awake.service, end)()
    await awake.service.start()

    async def reopened() -> bool:
        return await published(awake) not in {None, before} and await answers(await published(awake))

    await eventually(reopened)


async def test_a_sleep_after_a_crash_withdraws_what_was_left_behind(awake: Product) -> None:
    """Whether or not the forward had been opened again by then."""
    await awake.service.kill()
    await awake.service.start()
    await awake.service.run(f"/instances/{NAME}/stack/sleep")
    assert await published(awake) is None


async def test_a_stack_scaled_to_zero_by_hand_ends_the_forward(awake: Product) -> None:
    """Found within some seconds."""
    url = await published(awake)
    async with awake.kube() as kube:
        await kube.merge_patch(STATEFUL_SETS, "minio", {"spec": {"replicas": 0}}, "velero")

    async def closed() -> bool:
        try:
            async with httpx.AsyncClient() as client:
                await client.get(str(url))
        except httpx.ConnectError:
            return await published(awake) is None
        except httpx.TransportError:
            pass
        return False

    await eventually(closed)


async def test_powering_the_cluster_off_ends_the_forward(awake: Product) -> None:
    """The service does not keep a port open that leads nowhere."""
    url = await published(awake)
    assert (await awake.stop())["status"] == "succeeded"

    async def closed() -> bool:
        return not await answers(url)

    await eventually(closed)
