"""``python -m tests.soak``: many stops and starts, ten instances at once, and many shutdowns; nothing may grow.

Exit status 1 if a figure grows, a job fails, or a shutdown takes too long.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil

from app.db import THREADS
from app.jobs.reconciler import SHUTDOWN_SECONDS
from app.sandbox import supervisor
from app.sandbox.seed import seed
from tests.bucket import keys_in_bucket
from tests.instances import NAME
from tests.journal import until_step
from tests.metrics import metric_values
from tests.product import Product, sandbox_product
from tests.programs import keep_report, run_to_its_end
from tests.service import running_service
from tests.soak.growth import growth

#: Connections, compiled statements, and caches that fill ever more slowly: SQLite's of pages, for each connection, and
#: glibc's of freed blocks, for each thread.
WARM_UP = 100
BLOCK = 10
AT_ONCE = 10
SHUTDOWNS = 20
SHUTDOWN_STEPS = ["prepare-scope", "wake-stack", "create-backup", "wait-for-backup", "prove-backup", "power-off"]
#: Rows of two jobs, their steps and events: history is kept, and this is its price.
DATABASE_BYTES_PER_ROUND = 64 * 1024
#: The loop's own, the database's, asyncio's pool by its rule, and the one that unpacks. A pool grows when more of its
#: threads than ever before are busy at once, which may come late: so this is a limit and no slope.
MOST_THREADS = 1 + THREADS + min(32, (os.cpu_count() or 1) + 4) + 1
READ = ["/jobs", "/events", "/stats", "/instances", "/webhooks", "/health", "/metrics"]
READ_OF_INSTANCE = ["", "/backups", "/stats", "/policy", "/migration"]
PROGRESS_SECONDS = 10
#: Fewer leave too few blocks for a slope.
FEWEST_ROUNDS = WARM_UP + 8 * BLOCK


def main() -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=300, help="stops and starts (300)")
    parser.add_argument("--keep", type=Path, default=Path("var/soak.json"), help="where the report goes")
    asked = parser.parse_args()
    if asked.rounds < FEWEST_ROUNDS:
        parser.error(f"--rounds: at least {FEWEST_ROUNDS}, or no regression can tell growth from noise")
    began = time.monotonic()
    report = run_to_its_end(run(asked.rounds))
    report["minutes"] = round((time.monotonic() - began) / 60, 1)
    keep_report(report, asked.keep)
    print(json.dumps({key: value for key, value in report.items() if key != "samples"}, indent=2))
    return 1 if report["violations"] else 0


async def run(rounds: int) -> dict[str, Any]:
    """All three, one after the other."""
    report: dict[str, Any] = {"rounds": rounds, "violations": []}
    with tempfile.TemporaryDirectory(prefix="kecs-state-soak-") as directory:
        async with sandbox_product(Path(directory)) as product:
            await cycle(product, rounds, report)
            await shut_down(product, report)
    with tempfile.TemporaryDirectory(prefix="kecs-state-soak-") as directory:
        await all_at_once(Path(directory), report)
    return report


async def cycle(product: Product, rounds: int, report: dict[str, Any]) -> None:
    """Stops and starts, with a sample after each pair; people read meanwhile, as they would."""
    samples: list[dict[str, float]] = []
    told_at = 0.0
    await keys_in_bucket(product)  # what the service loads for it is no growth after the warm-up
    for number in range(rounds):
        for operation in (product.stop, product.start):
            job = await operation()
            if job["status"] != "succeeded" or job["warnings"]:
                problem = job["error"] or job["warnings"]
                report["violations"].append(f"round {number}: {job['type']} {job['status']}: {problem}")
                await product.start()
        await read_everything(product)
        if number == WARM_UP:
            report["objects_in_bucket_after_warm_up"] = len(await keys_in_bucket(product))
        samples.append(await sample(product))
        if time.monotonic() - told_at > PROGRESS_SECONDS:
            told_at = time.monotonic()
            print(f"{number + 1} of {rounds} rounds, {samples[-1]['memory_bytes'] / 2**20:.1f} MiB", flush=True)
    report["objects_in_bucket_at_the_end"] = len(await keys_in_bucket(product))
    report["samples"] = samples
    judge(samples[WARM_UP:], report)


async def read_everything(product: Product) -> None:
    """What the dashboard and scripts ask for, often enough at once for every connection of the database."""
    newest = (await product.service.client.get("/jobs")).json()["jobs"][0]["id"]
    paths = [*READ, *(f"/instances/{NAME}{below}" for below in READ_OF_INSTANCE), f"/jobs/{newest}/events"]
    for answer in await asyncio.gather(*(product.service.client.get(path) for path in paths * 3)):
        answer.raise_for_status()


async def sample(product: Product) -> dict[str, float]:
    """Everything that could grow."""
    values = metric_values((await product.service.client.get("/metrics")).text)
    process = psutil.Process(product.service.pid)
    database = product.state_dir / "state" / "state.db"
    host = product.state_dir / "instances" / NAME
    return {
        "memory_bytes": values["process_resident_memory_bytes"],
        "descriptors": values["process_open_fds"],
        "tasks": values["kecs_state_tasks"],
        "threads": process.num_threads(),
        "children": len(process.children(recursive=True)),
        "database_bytes": database.stat().st_size,
        "backups": len(await product.backups()),
        "host_files": sum(1 for path in host.rglob("*") if path.is_file() and "minio-data" not in path.parts),
    }


def judge(samples: list[dict[str, float]], report: dict[str, Any]) -> None:
    """The growth of each figure; only history may have any."""
    report["growth_per_round"] = {}
    for name in samples[0]:
        found = growth([each[name] for each in samples], BLOCK)
        report["growth_per_round"][name] = {
            "slope": round(found.slope, 4),
            "low": round(found.low, 4),
            "high": round(found.high, 4),
            "first": samples[0][name],
            "last": samples[-1][name],
        }
        if name == "database_bytes":
            if found.slope > DATABASE_BYTES_PER_ROUND:
                report["violations"].append(f"the database grows by {found.slope:.0f} bytes in each round")
        elif name == "threads":
            if (most := max(each[name] for each in samples)) > MOST_THREADS:
                report["violations"].append(f"{most} threads, and all pools together have {MOST_THREADS}")
        elif found.real:
            report["violations"].append(f"{name} grows by {found.slope:.4f} in each round")
    before, after = report["objects_in_bucket_after_warm_up"], report["objects_in_bucket_at_the_end"]
    if after > before:
        report["violations"].append(f"the bucket has grown from {before} to {after} objects")


async def shut_down(product: Product, report: dict[str, Any]) -> None:
    """SIGTERM in the middle of stops, in every step: in time, and the next process ends the job."""
    moments = random.Random(1)  # noqa: S311 - replayable
    longest = 0.0
    for _ in range(SHUTDOWNS):
        job = (await product.service.post(f"/instances/{NAME}/stop")).json()
        await until_step(product.state_dir, job["id"], moments.choice(SHUTDOWN_STEPS))
        began = time.monotonic()
        code = await product.service.terminate()
        longest = max(longest, time.monotonic() - began)
        await product.service.start()
        ended = await product.service.ended(job["id"])
        if (code, ended["status"]) != (0, "succeeded"):
            report["violations"].append(f"a shutdown with code {code}, and a stop that ended as {ended['error']}")
        await product.start()
    report["shutdowns"] = {"count": SHUTDOWNS, "longest_seconds": round(longest, 2)}
    if longest > SHUTDOWN_SECONDS:
        report["violations"].append(f"a shutdown took {longest:.1f} s")


async def all_at_once(state_dir: Path, report: dict[str, Any]) -> None:
    """Ten instances stopped by one service in the same moment, and started again."""
    names = [f"one-of-ten-{number}" for number in range(AT_ONCE)]
    try:
        for name in names:
            await supervisor.create(state_dir, name)
            await seed(state_dir, name)
        async with running_service(state_dir) as service:
            service.job_seconds = 300
            for operation in ("stop", "start"):
                began = time.monotonic()
                jobs = await asyncio.gather(*(service.run(f"/instances/{name}/{operation}") for name in names))
                report[f"{operation}s_at_once_seconds"] = round(time.monotonic() - began, 1)
                failed = [f"{job['instance']}: {job['error']}" for job in jobs if job["status"] != "succeeded"]
                report["violations"] += failed
    finally:
        for name in names:
            await supervisor.delete(state_dir, name)


if __name__ == "__main__":
    sys.exit(main())
