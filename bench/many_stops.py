"""Five hundred instances stopped by one service in the same moment: how late its loop gets, and what it takes."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil

from app.sandbox.velero.kinds import custom_resource_definitions
from app.settings import ImageSettings
from app.velero.stack.crds import parse_definitions
from bench.blocking import offenders
from bench.many_clusters import BUCKET, name_of
from bench.measure import Measure, p99
from bench.watching import blocks_between, lateness_between, watched_service
from tests.proof.object_store import ObjectStore, running_object_store
from tests.service import CONFIGURED, RunningService
from tests.waiting import eventually

STOPS = 500
IDLE_SECONDS = 5.0
#: One core works for all of them, and on a busy machine for others too.
PATIENCE_SECONDS = 3600
SAMPLE_SECONDS = 0.2


async def measure_many(directory: Path, count: int = STOPS) -> list[Measure]:
    """Every stop is proven; else there is no figure."""
    home, clusters = directory / "home", directory / "clusters"
    home.mkdir(parents=True)
    clusters.mkdir()
    (directory / "store").mkdir()
    with running_object_store(directory / "store") as store:
        async with running_clusters(clusters, count, store):
            for number in range(count):
                _remember_definitions(home / "instances" / name_of(number))
            settings = _settings(store)
            async with watched_service(home, "--clusters", str(clusters), serve=CONFIGURED, **settings) as (
                service,
                notes,
            ):
                return await _stop_all(service, notes, count)


async def _stop_all(service: RunningService, notes: Path, count: int) -> list[Measure]:
    idle_since = time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    since, process, memory = time.monotonic(), psutil.Process(service.pid), []
    limits = httpx.Limits(max_connections=8)
    async with httpx.AsyncClient(base_url=service.client.base_url, timeout=PATIENCE_SECONDS, limits=limits) as client:
        posts = [client.post(f"/instances/{name_of(number)}/stop") for number in range(count)]
        answers = await asyncio.gather(*posts)
        left = {answer.raise_for_status().json()["id"] for answer in answers}
        async with asyncio.timeout(PATIENCE_SECONDS):
            while left:
                memory.append(process.memory_info().rss / 1e6)
                active = [await _active(client, status) for status in ("queued", "running", "failed")]
                if active[2]:
                    raise RuntimeError(f"a stop failed: {active[2][0]['error']}")
                left &= {job["id"] for page in active for job in page}
                await asyncio.sleep(SAMPLE_SECONDS)
    until = time.monotonic()
    late, rest = (lateness_between(notes, *times) for times in ((since, until), (idle_since, since)))
    seconds = until - since
    told = [f"{count} stops in {seconds:.0f} s", *offenders(blocks_between(notes, since, until))]
    name = f"loop lag p99, {count} stops at once"
    return [
        Measure(name, [1000 * p99(late)], "the same loop at rest", [1000 * p99(rest)], 50, unit="ms", notes=told),
        Measure(f"memory, {count} stops at once", [max(memory)], "before", memory[:1], 300, unit="MB"),
    ]


async def _active(client: httpx.AsyncClient, status: str) -> list[dict[str, object]]:
    """The oldest would be on a later page: what counts is whether there is any, and any failure."""
    page = (await client.get("/jobs", params={"status": status, "page_size": 200})).raise_for_status().json()
    found: list[dict[str, object]] = page["jobs"]
    while page["next_link"]:
        page = (await client.get(page["next_link"])).raise_for_status().json()
        found += page["jobs"]
    return found


def _settings(store: ObjectStore) -> dict[str, str]:
    patience = str(PATIENCE_SECONDS)
    seconds = ("JOB", "BACKUP", "POWER", "API", "RETRY")
    return {
        "STORAGE__ENDPOINT": store.url,
        "STORAGE__BUCKET": BUCKET,
        "STORAGE__REGION": "minio",
        "STORAGE__ACCESS_KEY": store.credentials.access_key,
        "STORAGE__SECRET_KEY": store.credentials.secret_key,
        "STACK__WAKE_TIMEOUT_SECONDS": patience,
        "WORKFLOW__PROOF_MAX_AGE_SECONDS": patience,
        **{f"WORKFLOW__{what}_TIMEOUT_SECONDS": patience for what in seconds},
    }


def _remember_definitions(instance: Path) -> None:
    """As the first stop of an instance keeps them, whose pod printed them."""
    kept = instance / "velero-config"
    kept.mkdir(parents=True, mode=0o700)
    definitions = parse_definitions(json.dumps(custom_resource_definitions()))
    content = {"image": ImageSettings().velero, "definitions": definitions}
    (kept / "crds.json").write_text(json.dumps(content))
    (kept / "crds.json").chmod(0o600)


@asynccontextmanager
async def running_clusters(directory: Path, count: int, store: ObjectStore) -> AsyncIterator[None]:
    """The process that is all of them."""
    arguments = [str(directory), str(count), store.url, store.credentials.access_key, store.credentials.secret_key]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.many_clusters", *arguments)

    async def ready() -> bool:
        if process.returncode is not None:
            raise RuntimeError("the clusters have ended")
        return (directory / "ready").exists()

    try:
        await eventually(ready, 300)
        yield
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
