"""The sandbox's API server: creations, lists and watches over HTTPS, as a busy client sees them."""

import asyncio
import json
import ssl
import statistics
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp

from bench.measure import Measure
from tests.bulk import AT_ONCE, some_at_once
from tests.sandbox.api_server import running_api

CREATIONS = 500
LISTED = 2000
ROUNDS = 4
#: Creations a second while the watch is measured: busy, but not to the limit.
PACE = 100
MAPS = "/api/v1/namespaces/default/configmaps"


async def measure_api(directory: Path) -> list[Measure]:
    """Creations in bulk, a long list, and how late events come."""
    async with running_api(directory) as api:
        tls = ssl.create_default_context(cafile=str(api.ca_file))
        headers = {"Authorization": f"Bearer {api.token}"}
        connector = aiohttp.TCPConnector(ssl=tls, limit=AT_ONCE + 2)
        async with aiohttp.ClientSession(api.url, headers=headers, connector=connector) as session:
            await until_default_namespace(session)
            creations, plain = [], []
            for number in range(ROUNDS):
                creations.append(await in_bulk(lambda each, run=number: create(session, f"bulk-{run}-{each}")))
                plain.append(await in_bulk(lambda _: read(session, "/livez")))
            lists, decodings = await long_lists(session)
            late, alone = await lateness_of_events(session)
    return [
        Measure(f"{CREATIONS} creations", creations, "as many bare requests", plain, 1.0),
        Measure(f"a list of {LISTED}", lists, "its JSON decoded", decodings, 0.2),
        Measure("an event of a watch, p99", [late], "a creation answered, median", [alone], 0.02),
    ]


async def until_default_namespace(session: aiohttp.ClientSession) -> None:
    """A server that has just begun makes it within a moment."""
    async with asyncio.timeout(10):
        while (await session.get("/api/v1/namespaces/default")).status != 200:
            await asyncio.sleep(0.02)


async def create(session: aiohttp.ClientSession, name: str) -> None:
    """One ConfigMap of half a KiB."""
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": "x" * 512}}
    async with session.post(MAPS, json=body) as response:
        response.raise_for_status()
        await response.read()


async def read(session: aiohttp.ClientSession, path: str) -> bytes:
    """A whole answer."""
    async with session.get(path) as response:
        response.raise_for_status()
        return await response.read()


async def in_bulk(work: Callable[[int], Awaitable[Any]]) -> float:
    """Seconds of all of it, some under way at once."""
    began = time.perf_counter()
    await some_at_once(work, range(CREATIONS))
    return time.perf_counter() - began


async def long_lists(session: aiohttp.ClientSession) -> tuple[list[float], list[float]]:
    """Seconds of whole lists, and of decoding each."""
    if CREATIONS * ROUNDS != LISTED:
        raise ValueError("the list is of what the rounds before have created")
    lists, decodings = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        body = await read(session, f"{MAPS}?labelSelector=%21none")
        lists.append(time.perf_counter() - began)
        began = time.perf_counter()
        json.loads(body)
        decodings.append(time.perf_counter() - began)
    return lists, decodings


async def lateness_of_events(session: aiohttp.ClientSession) -> tuple[float, float]:
    """Seconds from asking for a creation to its event: the 99th percentile; and to its answer: the median."""
    asked: dict[str, float] = {}
    seen: dict[str, float] = {}
    answered = []
    version = json.loads(await read(session, f"{MAPS}?limit=1"))["metadata"]["resourceVersion"]

    async def watch() -> None:
        async with session.get(f"{MAPS}?watch=true&resourceVersion={version}") as response:
            async for line in response.content:
                seen[json.loads(line)["object"]["metadata"]["name"]] = time.perf_counter()
                if len(seen) == CREATIONS:
                    return

    watching = asyncio.create_task(watch())
    for number in range(CREATIONS):
        name = f"watched-{number}"
        asked[name] = time.perf_counter()
        await create(session, name)
        answered.append(time.perf_counter() - asked[name])
        await asyncio.sleep(max(0.0, 1 / PACE - answered[-1]))
    async with asyncio.timeout(10):
        await watching
    late = [seen[name] - asked[name] for name in asked]
    return statistics.quantiles(late, n=100)[98], statistics.median(answered)
