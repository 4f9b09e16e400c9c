"""Own time in a stop, how fast service and sandbox are there, the sandbox's API, callers, migration, k3d's power.

Writes ``var/bench/summary.json``.

A missed goal is printed and ends the command with 1. Machines are shared and noisy: each figure is a median of
several rounds and stands beside a baseline of the same run.
"""

import asyncio
import compileall
import json
import shutil
import statistics
import sys
import time
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from app.sandbox import supervisor
from app.sandbox.seed import seed
from bench.callers import measure_callers
from bench.figures import own_seconds, step_seconds
from bench.k3d import measure_power
from bench.measure import Measure
from bench.migration import measure_migration
from bench.sandbox_api import measure_api
from tests.service import running_service

ROOT = Path("var/bench")
STATE = (ROOT / "state").absolute()
NAME = "bench"
ROUNDS = 5


async def main() -> int:
    """Measure everything, print it, keep it."""
    shutil.rmtree(ROOT, ignore_errors=True)
    STATE.mkdir(parents=True)
    console = Console(highlight=False)
    compileall.compile_dir("app", quiet=1)  # as an installation does
    console.print("Starting processes ...")
    measures = [await service_ready(), await sandbox_ready()]
    console.print("Loading the sandbox's API server ...")
    measures += await measure_api(STATE / "api")
    console.print("Keeping callers waiting ...")
    measures += await measure_callers(STATE / "callers")
    console.print("Reporting on a large instance, and copying a large store ...")
    measures += await measure_migration(STATE / "migration")
    console.print("Powering a k3d off and on at its recorded pace ...")
    (STATE / "k3d").mkdir()
    measures += await measure_power(STATE / "k3d")
    console.print(f"Stopping and starting an instance {ROUNDS} times ...")
    measures.append(await own_time_in_a_stop())
    show(console, measures)
    summary = [asdict(measure) | {"median": measure.median, "reached": measure.reached} for measure in measures]
    (ROOT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    return 0 if all(measure.reached for measure in measures) else 1


async def service_ready() -> Measure:
    """From starting the process to a good answer of ``/readyz``, beside the bare imports it cannot do without."""
    rounds = []
    for number in range(ROUNDS):
        directory = STATE / f"service-{number}"
        directory.mkdir()
        began = time.perf_counter()
        async with running_service(directory):
            rounds.append(time.perf_counter() - began)
    imports = [await run_python("import fastapi, uvicorn, sqlmodel, kubernetes_asyncio, aioboto3") for _ in range(3)]
    return Measure("service ready", rounds, "its libraries imported", statistics.median(imports), 1.2)


async def sandbox_ready() -> Measure:
    """From nothing to a cluster whose API and node answer, beside a bare Python process that imports aiohttp."""
    rounds = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        await supervisor.create(STATE, f"ready-{number}", kecs=False)
        rounds.append(time.perf_counter() - began)
        await supervisor.delete(STATE, f"ready-{number}")
    bare = [await run_python("import aiohttp.web") for _ in range(3)]
    return Measure("sandbox ready", rounds, "aiohttp imported", statistics.median(bare), 3.0)


async def run_python(code: str) -> float:
    """Seconds of one Python process."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    await process.wait()
    return time.perf_counter() - began


async def own_time_in_a_stop() -> Measure:
    """A stop without what is not ours, beside Velero's own time for the same backups."""
    own, velero = [], []
    await supervisor.create(STATE, NAME)
    try:
        await seed(STATE, NAME)
        async with running_service(STATE) as service:
            for _ in range(ROUNDS + 1):
                job = await service.run(f"/instances/{NAME}/stop")
                events = (await service.client.get(f"/jobs/{job['id']}/events")).json()
                steps = step_seconds(events)
                own.append(own_seconds(job, steps))
                velero.append(steps["wait-for-backup"])
                await service.run(f"/instances/{NAME}/start")
    finally:
        await supervisor.delete(STATE, NAME)
    # The first round pays for what a process does once: the S3 client's service model, TLS, compiled statements.
    return Measure("own time in a stop", own[1:], "Velero's own time", statistics.median(velero[1:]), 0.25)


def show(console: Console, measures: list[Measure]) -> None:
    """A table with every figure."""
    table = Table(title="Seconds; medians of the rounds")
    for column in ("measure", "min", "median", "max", "goal", "baseline", "ratio"):
        table.add_column(column, justify="left" if column in {"measure", "baseline"} else "right")
    for measure in measures:
        style = None if measure.reached else "red"
        figures = [min(measure.rounds), measure.median, max(measure.rounds), measure.goal_seconds]
        baseline = f"{measure.baseline} {measure.baseline_seconds:.2f}"
        ratio = f"{measure.median / measure.baseline_seconds:.2f}"
        table.add_row(measure.name, *(f"{figure:.2f}" for figure in figures), baseline, ratio, style=style)
    console.print(table)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
