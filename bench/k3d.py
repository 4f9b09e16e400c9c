"""How long power takes on a k3d whose commands take what the real ones took (``tests/clusters/k3d_program.py``)."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from unittest.mock import patch

from app.clusters import k3d
from app.clusters.k3d import K3dClusters
from app.db import Database
from app.errors import ServiceError
from app.jobs.repository import JobStore
from app.kubernetes.client import KubeClient
from app.settings import Settings
from app.workflows.power import finish_power_on, power_on, powering_on, wait_for_api
from app.workflows.world import InstanceSession, World
from bench.figures import job_seconds
from bench.measure import Measure
from bench.stops import JOB_SECONDS, succeeded
from tests.clusters.k3d_instance import CLUSTER, K3dInstance
from tests.clusters.own_address import ADDRESS, own_address
from tests.instances import NAME
from tests.service import running_service

ROUNDS = 3
PROBE_SECONDS = 0.02


async def measure_power(directory: Path) -> list[Measure]:
    """Power off and on again; the power-off beside the bare kill, the API's use beside its first answer."""
    directory.mkdir()
    instance = K3dInstance(directory)
    instance.machine.change(pace=1)
    settings = Settings(driver="k3d", k3d=instance.machine.settings, home=directory / "home")
    async with own_address(directory, NAME) as port, Database.open(settings) as database:
        world = World(settings, K3dClusters(settings.k3d), JobStore(database, "bench"))
        await instance.create()
        try:
            instance.machine.bend(f"k3d-{CLUSTER}-server-0", address=ADDRESS)
            with patch.object(k3d, "API_PORT", port):
                return await _rounds(instance, world)
        finally:
            await instance.delete()


async def measure_whole_stop(directory: Path) -> list[Measure]:
    """Everything from the request to an instance that is proven and off, beside k3d's own stop, which saves nothing."""
    directory.mkdir()
    instance = K3dInstance(directory)
    instance.machine.change(pace=1)
    stops: list[float] = []
    plain: list[float] = []
    await instance.create()
    try:
        await instance.seed()
        async with running_service(directory, instance.serve, **instance.settings) as service:
            service.job_seconds = JOB_SECONDS
            for _ in range(ROUNDS + 1):
                with _timed(plain):
                    await instance.run_k3d("cluster", "stop", CLUSTER)
                await instance.power_on()
                stops.append(job_seconds(succeeded(await service.run(f"/instances/{NAME}/stop"))))
                succeeded(await service.run(f"/instances/{NAME}/start"))
    finally:
        await instance.delete()
    # The first stop installs the stack.
    return [Measure("whole stop of a k3d cluster, proven", stops[1:], "k3d cluster stop", plain[1:], goal_ratio=0.4)]


async def _rounds(instance: K3dInstance, world: World) -> list[Measure]:
    kills, offs, answers, uses = [], [], [], []
    for _ in range(ROUNDS):
        with _timed(kills):
            await instance.power_off()
        await instance.power_on()
        with _timed(offs):
            await world.clusters.stop(NAME, drain=False)
        began = time.perf_counter()
        probing = asyncio.create_task(_first_answer(instance))
        async with InstanceSession(world, NAME) as session, powering_on(session) as starting:
            await power_on(session, starting)
            await wait_for_api(session)
            used = time.perf_counter()
            await finish_power_on(starting)
        answered = await probing
        answers.append(answered - began)
        uses.append(used - answered)
    return [
        Measure("k3d powered off", offs, "bare docker kill", kills, 1.0),
        Measure("k3d's API used after it answers", uses, "its first answer", answers, 1.0),
    ]


async def _first_answer(instance: K3dInstance) -> float:
    """When the API server says that it is ready, asked for without the driver."""
    async with asyncio.timeout(60):
        while True:
            with suppress(ServiceError, OSError):
                async with await KubeClient.connect(instance.access()) as kube:
                    if await kube.ready():
                        return time.perf_counter()
            await asyncio.sleep(PROBE_SECONDS)


@contextmanager
def _timed(seconds: list[float]) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds.append(time.perf_counter() - began)
