"""How soon a sandbox cluster is there, beside a bare Python process that imports its web server."""

import asyncio
import sys
import time
from pathlib import Path

from app.sandbox import supervisor
from bench.measure import Measure

ROUNDS = 5


async def measure_sandbox(directory: Path) -> list[Measure]:
    """From nothing to a cluster whose API and node answer."""
    rounds, bare = [], []
    for number in range(ROUNDS):
        bare.append(await process_seconds("-c", "import aiohttp.web"))
        began = time.perf_counter()
        await supervisor.create(directory, f"ready-{number}", kecs=False)
        rounds.append(time.perf_counter() - began)
        await supervisor.delete(directory, f"ready-{number}")
    return [Measure("sandbox ready", rounds, "aiohttp imported", bare, 3.0)]


async def process_seconds(*arguments: str) -> float:
    """Seconds of one Python process."""
    began = time.perf_counter()
    nowhere = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(sys.executable, *arguments, stdout=nowhere)
    await process.wait()
    return time.perf_counter() - began
