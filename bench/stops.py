"""Stops of one instance in the sandbox: what of their time is ours, beside Velero's own for the same backups."""

import shutil
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS
from app.ports import ClusterAccess
from app.sandbox import supervisor
from app.sandbox.seed import seed
from bench.figures import NOT_OURS, own_seconds, step_seconds
from bench.measure import Measure, p95
from tests.bulk import some_at_once
from tests.service import RunningService, running_service

NAME = "bench"
ROUNDS = 3
STOPS_IN_A_ROUND = 20
SIZES = (100, 1000, 5000, 20000)
SIZE_ROUNDS = 3
JOB_SECONDS = 600
#: So many that none is pruned while others are measured: for a deletion it is Velero that takes its time.
POLICY = {"keep_last": 100}
OWN, VELERO = "own", "wait-for-backup"
VELEROS = "the sandbox's Velero"


async def measure_stops(directory: Path) -> list[Measure]:
    """A small instance's, of some sixty objects."""
    async with seeded(directory) as service:
        await _stop_and_start(service)  # pays for what a process does once: S3's service model, TLS, statements
        rounds = [[await _stop_and_start(service) for _ in range(STOPS_IN_A_ROUND)] for _ in range(ROUNDS)]
    medians, beside = ([statistics.median(stop[of] for stop in stops) for stops in rounds] for of in (OWN, VELERO))
    slow = [p95([stop[OWN] for stop in stops]) for stops in rounds]
    return [
        Measure("own time in a stop", medians, VELEROS, beside, notes=[_by_step(rounds[-1])]),
        Measure("own time in a stop, p95", slow, VELEROS, beside, 0.15),
    ]


def _by_step(stops: list[dict[str, float]]) -> str:
    seconds = {step: statistics.median(stop[step] for stop in stops) for step in stops[0].keys() - NOT_OURS - {OWN}}
    longest_first = sorted(seconds, key=lambda step: -seconds[step])
    told_steps = ", ".join(f"{step} {1000 * seconds[step]:.0f} ms" for step in longest_first)
    return f"by step, with those beside the stack's start: {told_steps}"


async def measure_sizes(directory: Path) -> list[Measure]:
    """The same at each size, and by how much a further object makes it longer."""
    measures = []
    medians: list[tuple[float, float]] = []
    async with seeded(directory) as service:
        await _stop_and_start(service)
        for size in SIZES:
            await fill_sandbox(service, directory, size)
            stops = [await _stop_and_start(service) for _ in range(SIZE_ROUNDS)]
            own, velero = ([stop[of] for stop in stops] for of in (OWN, VELERO))
            medians.append((statistics.median(own), statistics.median(velero)))
            measures.append(Measure(at_size(size), own, VELEROS, velero))
    slopes = [_slope([pair[number] for pair in medians]) for number in (0, 1)]
    name, beside = "own time for each further object", "Velero's for it"
    # No goal: an emulation that reads its cluster from memory is no measure of Velero. bench/report.py has it.
    return [*measures, Measure(name, slopes[:1], beside, slopes[1:], unit="ms")]


def at_size(size: int) -> str:
    """The name of that size's measure."""
    return f"own time at {size:,} objects"


def _slope(seconds: list[float]) -> float:
    """Milliseconds an object, by least squares over the sizes."""
    return 1000 * statistics.linear_regression(SIZES, seconds).slope


@asynccontextmanager
async def seeded(directory: Path) -> AsyncIterator[RunningService]:
    """A service with one instance."""
    directory.mkdir(parents=True)
    await supervisor.create(directory, NAME)
    try:
        await seed(directory, NAME)
        settings = {"WORKFLOW__BACKUP_TIMEOUT_SECONDS": str(JOB_SECONDS)}
        async with running_service(directory, **settings) as service:
            service.job_seconds = JOB_SECONDS
            (await service.client.put(f"/instances/{NAME}/policy", json=POLICY)).raise_for_status()
            yield service
    finally:
        await supervisor.delete(directory, NAME)
        shutil.rmtree(directory)


async def _stop_and_start(service: RunningService) -> dict[str, float]:
    """Seconds of a stop's steps, and of all that is ours."""
    job = succeeded(await service.run(f"/instances/{NAME}/stop"))
    steps = step_seconds((await service.client.get(f"/jobs/{job['id']}/events")).json())
    succeeded(await service.run(f"/instances/{NAME}/start"))
    return steps | {OWN: own_seconds(job, steps)}


def succeeded(job: dict[str, Any]) -> dict[str, Any]:
    """A figure of a job that failed would be none."""
    if job["status"] != "succeeded":
        raise RuntimeError(f"the {job['type']} failed: {job['error']}")
    return job


async def fill_sandbox(service: RunningService, directory: Path, size: int) -> None:
    """The bench's own instance."""
    async with await KubeClient.connect(ClusterAccess(supervisor.kubeconfig(directory, NAME))) as kube:
        await fill(service, NAME, kube, size)


async def fill(service: RunningService, instance: str, kube: KubeClient, size: int) -> None:
    """ConfigMaps of one KiB up to that many objects in a backup."""

    async def create(number: int) -> None:
        body = {"metadata": {"name": f"filler-{number}"}, "data": {"text": f"{number:<1024}"}}
        await kube.create(CONFIG_MAPS, body, "internal")

    preflight = (await service.client.get(f"/instances/{instance}/preflight")).json()
    await some_at_once(create, range(preflight["objects"], size))
