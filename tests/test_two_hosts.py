"""Services of several hosts on one PostgreSQL: real processes, each with its own host id; and two that share one."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.instances import NAME
from tests.postgres import PASSWORD, PostgresServer
from tests.product import Product, sandbox_product
from tests.service import RunningService, running_service
from tests.waiting import eventually

pytestmark = pytest.mark.postgres


@pytest.fixture
def url(postgres_server: PostgresServer, migrated_template: str) -> str:
    """Of a new shared history."""
    return postgres_server.url(postgres_server.database(migrated_template))


@asynccontextmanager
async def two_products(directory: Path, url: str) -> AsyncIterator[tuple[Product, Product]]:
    """Two hosts, each with an instance of the same name."""
    products = [sandbox_product(directory / host, DATABASE_URL=url, LOG_LEVEL="DEBUG") for host in ("one", "two")]
    for host in ("one", "two"):
        (directory / host).mkdir()
    async with AsyncExitStack() as stack:
        one, two = await asyncio.gather(*(stack.enter_async_context(product) for product in products))
        yield one, two


@asynccontextmanager
async def copied(directory: Path, original: RunningService, url: str) -> AsyncIterator[RunningService]:
    """A service that has been given the host id of another one, as with a copied disk; not started yet."""
    (directory / "state").mkdir(parents=True)
    shutil.copy(original.state_dir / "state" / "host-id", directory / "state" / "host-id")
    copy = RunningService(directory, {"DATABASE_URL": url})
    try:
        yield copy
    finally:
        await copy.close()


async def at_step(service: RunningService, job: dict[str, Any], step: str) -> None:
    """Until a job has come that far, by whichever service is asked."""
    events: list[dict[str, Any]] = []

    async def there() -> bool:
        events[:] = (await service.client.get(f"/jobs/{job['id']}/events")).json()
        return any(event["data"].get("step") == step for event in events)

    try:
        await eventually(there)
    except TimeoutError:
        raise AssertionError(f"not there yet: {events}\n{service.log.read_text()[-3000:]}") from None


async def test_each_service_works_its_own_jobs_and_a_killed_one_takes_only_its_own_down(
    tmp_path: Path, url: str
) -> None:
    """One is killed while it backs up: the other ends its stop and leaves that job alone; it goes on at the restart."""
    async with two_products(tmp_path, url) as (one, two):
        one.faults(slow={"backup:InProgress": 3.0})
        jobs = [(await product.service.post(f"/instances/{NAME}/stop")).json() for product in (one, two)]
        await at_step(two.service, jobs[0], "wait-for-backup")
        await one.service.kill()
        assert (await two.service.ended(jobs[1]["id"]))["status"] == "succeeded"
        orphan = (await two.service.client.get(f"/jobs/{jobs[0]['id']}")).json()
        assert (orphan["status"], orphan["attempt"], one.state(), two.state()) == ("running", 1, "running", "stopped")
        await one.service.start()
        resumed = await one.service.ended(jobs[0]["id"])
        assert (resumed["status"], resumed["attempt"], one.state()) == ("succeeded", 2, "stopped")
        assert (await one.steps(jobs[0])).count("create-backup") == 1
        listed = (await two.service.client.get("/jobs")).json()["jobs"]
        assert {job["id"] for job in listed} == {job["id"] for job in jobs}
        assert PASSWORD not in one.service.log.read_text() + two.service.log.read_text()


async def test_a_second_process_with_the_same_host_id_is_refused(tmp_path: Path, url: str) -> None:
    """It names the first one, exits with 1 and changes nothing; nobody is shown the password."""
    (tmp_path / "one").mkdir()
    async with running_service(tmp_path / "one", DATABASE_URL=url) as service:
        async with copied(tmp_path / "copy", service, url) as copy:
            with pytest.raises(AssertionError, match=rf"process {service.pid} on .* works the jobs of host"):
                await copy.start()
            assert PASSWORD not in copy.log.read_text()
        assert (await service.client.get("/readyz")).status_code == 200
        doctor = (await service.client.get("/doctor")).text
        assert PASSWORD not in doctor + json.dumps(await printed_settings(url))


async def printed_settings(url: str) -> dict[str, Any]:
    """What ``kecs-state settings`` prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli.main", "settings",
        env=os.environ | {"KECS_STATE_DATABASE_URL": url}, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    printed: dict[str, Any] = json.loads((await process.communicate())[0])
    assert printed["database_url"]
    return printed


async def test_a_process_that_slept_while_another_took_its_host_over_ends_by_itself(
    tmp_path: Path, url: str, postgres_server: PostgresServer
) -> None:
    """As a laptop does whose copy was started meanwhile: it says why, and the other one serves on."""
    (tmp_path / "one").mkdir()
    async with running_service(tmp_path / "one", DATABASE_URL=url) as service:
        os.kill(service.pid, signal.SIGSTOP)
        postgres_server.end_sessions(url.rpartition("/")[2])
        async with copied(tmp_path / "copy", service, url) as copy:
            await copy.start()
            os.kill(service.pid, signal.SIGCONT)
            assert await service.exit_code() == 1
            assert f"process {copy.pid} on" in service.log.read_text()
            assert "has taken over the jobs of host" in service.log.read_text()
            assert (await copy.client.get("/readyz")).status_code == 200
