"""What callers wait for: help in the terminal, an event on its way to fifty followers, a webhook after a job's end."""

import asyncio
import json
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bench.measure import Measure, p99
from bench.sandbox_process import process_seconds
from tests.api.serving import ServedApi, served_api

FOLLOWERS = 50
JOBS = 10
ROUNDS = 3


async def measure_callers(directory: Path) -> list[Measure]:
    """Every figure that a caller notices."""
    measures = [await time_of_help()]
    async with served_api(directory) as api:
        await one_job(api)  # pays for what is loaded once
        alone, late = [], []
        for _ in range(ROUNDS):
            alone.append(statistics.median(await event_delays(api, 1)))
            late.append(p99(await event_delays(api, FOLLOWERS)))
        measures.append(Measure(f"event, p99 of {FOLLOWERS} followers", late, "one follower, median", alone, 0.1))
        measures.append(await webhook_delay(api, alone))
    return measures


async def time_of_help() -> Measure:
    """``kecs-state --help`` beside a bare Python process."""
    rounds = [await process_seconds("-m", "app.cli.main", "--help") for _ in range(5)]
    bare = [await process_seconds("-c", "pass") for _ in range(5)]
    return Measure("kecs-state --help", rounds, "bare Python", bare, 0.3)


async def one_job(api: ServedApi) -> datetime:
    """A whole short job; when it ended, by its own row."""
    job = (await api.client.post("/instances/demo/stop", headers={"Prefer": "wait=20"})).json()
    return datetime.fromisoformat(job["finished_at"])


async def event_delays(api: ServedApi, followers: int) -> list[float]:
    """Seconds from each event's time in the journal to its arrival at each follower."""
    delays: list[float] = []
    listening = asyncio.Semaphore(0)

    async def follow(client: httpx.AsyncClient) -> None:
        ended = 0
        async with client.stream("GET", "/events", headers={"Accept": "text/event-stream"}) as response:
            listening.release()
            async for line in response.aiter_lines():
                if not line.startswith("data: "):
                    continue
                event = json.loads(line.removeprefix("data: "))
                delays.append((datetime.now(UTC) - datetime.fromisoformat(event["at"])).total_seconds())
                ended += event["type"] == "job.succeeded"
                if ended == JOBS:
                    return

    limits = httpx.Limits(max_connections=None)
    async with httpx.AsyncClient(base_url=api.url, limits=limits, timeout=60) as client, asyncio.TaskGroup() as group:
        for _ in range(followers):
            group.create_task(follow(client))
        for _ in range(followers):
            await listening.acquire()
        for _ in range(JOBS):
            await one_job(api)
    return delays


async def webhook_delay(api: ServedApi, event_seconds: list[float]) -> Measure:
    """From a job's end to the message at its receiver."""
    rounds = []
    async with receiver() as (url, arrivals):
        await api.client.post("/webhooks", json={"url": url, "events": ["job.succeeded"]})
        for _ in range(5):
            ended = await one_job(api)
            async with asyncio.timeout(10):
                rounds.append(((await arrivals.get()) - ended).total_seconds())
    return Measure("webhook after a job's end", rounds, "event, one follower, median", event_seconds, 0.5)


@asynccontextmanager
async def receiver() -> AsyncIterator[tuple[str, "asyncio.Queue[datetime]"]]:
    """A receiver of webhooks that notes when each message came."""
    arrivals: asyncio.Queue[datetime] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        arrivals.put_nowait(datetime.now(UTC))
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/", arrivals
