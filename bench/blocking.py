"""The longest that anything keeps the service's event loop, while it does all it does; what kept it, by its stack."""

import re
import time
from pathlib import Path

from app.host.host_id import host_id
from app.jobs.states import JobStatus
from app.sandbox import supervisor
from app.sandbox.seed import seed
from bench.history import fill_sqlite, jobs
from bench.measure import Measure
from bench.stops import JOB_SECONDS, NAME, fill_sandbox, succeeded
from bench.watching import Block, blocks_between, watched_service
from tests.service import RunningService

ROUNDS = 3
OBJECTS, JOBS = 1000, 2000
PAGES = (
    "/", "/dashboard/main.js", "/docs", "/openapi.json", "/metrics", "/stats", "/jobs?page_size=200", "/events",
    "/instances", f"/instances/{NAME}", f"/instances/{NAME}/preflight", f"/instances/{NAME}/backups", "/doctor",
    "/audit",
)  # fmt: skip
MOST_TOLD = 10
#: What of a task differs from one to the next.
_TURN = re.compile(r" wait_for=.*| cb=.*|(?<=name=)'[^']*'")


async def measure_blocking(directory: Path) -> list[Measure]:
    """Each round by a process of its own, since much is done once in a process."""
    directory.mkdir(parents=True)
    await supervisor.create(directory, NAME)
    rounds, found = [], []
    try:
        await seed(directory, NAME)
        for number in range(ROUNDS):
            async with watched_service(directory) as (service, notes):
                service.job_seconds = JOB_SECONDS
                if not number:
                    await fill_sandbox(service, directory, OBJECTS)
                    await _make_history(service)
                since = time.monotonic()
                await _do_everything(service)
                blocks = blocks_between(notes, since, time.monotonic())
            rounds.append(1000 * max((block.cpu_seconds for block in blocks), default=0))
            found += blocks
    finally:
        await supervisor.delete(directory, NAME)
    name = f"longest the loop was kept, {OBJECTS:,} objects"
    return [Measure(name, rounds, goal=20, unit="ms", notes=offenders(found))]


async def _do_everything(service: RunningService) -> None:
    for path in PAGES:
        (await service.client.get(path)).raise_for_status()
    for path in ("backups", "stop", "start"):
        succeeded(await service.run(f"/instances/{NAME}/{path}"))
    for path in PAGES:
        (await service.client.get(path)).raise_for_status()


async def _make_history(service: RunningService) -> None:
    """Ended jobs of this very host."""
    await service.terminate()
    host = host_id(service.state_dir / "state")
    rows = ((*row[:3], host, *row[4:]) for row in jobs(JOBS) if row[4] == JobStatus.SUCCEEDED)
    fill_sqlite(service.state_dir / "state" / "state.db", "job", rows)
    await service.start()


def offenders(blocks: list[Block]) -> list[str]:
    """Each place once, by its longest time: in which function of ours, how often, and how long at most."""
    places: dict[str, list[float]] = {}
    for block in blocks:
        places.setdefault(_place(block), []).append(block.cpu_seconds)
    worst = sorted(places.items(), key=lambda place: -max(place[1]))[:MOST_TOLD]
    return [f"{1000 * max(times):.0f} ms, {len(times)} times: {place}" for place, times in worst]


def _place(block: Block) -> str:
    inside = [frame for frame in block.stack if "/bench/watching.py" not in frame]
    ours = [frame for frame in inside if "/app/" in frame and "/app/cli/" not in frame]
    if ours:
        return f"{_short(ours[-1])} in {_short(inside[-1])}"
    return _TURN.sub("", block.turn)[:160]


def _short(frame: str) -> str:
    parts = frame.split("/")
    return "/".join(parts[parts.index("app") :]) if "app" in parts else "/".join(parts[-2:])
