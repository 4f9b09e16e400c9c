"""The service as a process: how soon it is ready and what it takes while nobody asks, beside a bare FastAPI app."""

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import psutil

from app.sandbox.ports import free_port
from bench.measure import Measure
from tests.service import running_service
from tests.waiting import eventually

ROUNDS = 5
IDLE_ROUNDS, IDLE_SECONDS = 3, 20.0
#: Meanwhile the service loads what the first job will need.
SETTLE_SECONDS = 3.0
BARE = "FastAPI and uvicorn alone"


@asynccontextmanager
async def running_bare_app(database: Path | None = None) -> AsyncIterator[tuple[int, int]]:
    """A bare app that is ready; its port and its process id."""
    port = free_port()
    arguments = [str(port), *([str(database)] if database else [])]
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.bare_app", *arguments)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:

            async def ready() -> bool:
                try:
                    return (await client.get("/readyz")).status_code == 200
                except httpx.TransportError:
                    return False

            await eventually(ready)
        yield port, process.pid
    finally:
        process.terminate()
        await process.wait()


async def measure_process(directory: Path) -> list[Measure]:
    """Start and rest."""
    bare, first, ready = [], [], []
    for number in range(ROUNDS):
        began = time.perf_counter()
        async with running_bare_app():
            bare.append(time.perf_counter() - began)
        state = _made(directory / f"start-{number}")
        for seconds in (first, ready):
            began = time.perf_counter()
            async with running_service(state):
                seconds.append(time.perf_counter() - began)
    return [
        Measure("service ready", ready, BARE, bare, 1.0),
        Measure("service ready for the first time, its database made", first, BARE, bare),
        *await _idle(_made(directory / "idle")),
    ]


async def _idle(directory: Path) -> list[Measure]:
    """Both at rest in the same seconds."""
    cpu: tuple[list[float], list[float]] = ([], [])
    memory: tuple[list[float], list[float]] = ([], [])
    async with running_service(directory) as service, running_bare_app() as (_, bare_pid):
        processes = psutil.Process(service.pid), psutil.Process(bare_pid)
        await asyncio.sleep(SETTLE_SECONDS)
        for _ in range(IDLE_ROUNDS):
            before = [_cpu_seconds(process) for process in processes]
            await asyncio.sleep(IDLE_SECONDS)
            for number, process in enumerate(processes):
                cpu[number].append(100 * (_cpu_seconds(process) - before[number]) / IDLE_SECONDS)
                memory[number].append(process.memory_info().rss / 1e6)
    return [
        Measure("CPU at rest", cpu[0], BARE, cpu[1], 0.5, unit="%"),
        Measure("memory at rest", memory[0], BARE, memory[1], 130, unit="MB"),
    ]


def _cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True)
    return directory
