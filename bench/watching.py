"""The service with its event loop watched: ``python -m bench.watching DIRECTORY serve ...``.

With ``--clusters DIRECTORY`` before ``serve``, its power driver knows the clusters of ``bench/many_clusters.py``.

Written down in the directory: ``beats``, when a beat was due each few milliseconds and how late it came; and
``blocks``, every callback that kept the loop long, by the seconds its thread computed, so that what other programs do
on the machine counts for nothing, and with the stack that a second thread saw meanwhile.
"""

import asyncio
import json
import sys
import threading
import time
import traceback
from asyncio.events import Handle
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from app.ports import ClusterAccess, ClusterStatus, PowerState, ToolCheck
from tests.service import SANDBOX, RunningService

BEAT_SECONDS = 0.005
LOOK_SECONDS = 0.004
#: A callback that computes longer is written down.
LONG_SECONDS = 0.010
_FRAMES = 60


@dataclass(frozen=True)
class Block:
    """A callback that kept the loop."""

    at: float
    """By the machine's monotonic clock, when it ended."""
    cpu_seconds: float
    """What its thread computed."""
    stack: list[str]
    """Where it was, from the outside in, when it was looked at last."""
    turn: str
    """The task or the callback."""


class LoopWatch:
    """Patches the loop's callbacks, and looks at the loop's thread from another one."""

    def __init__(self, directory: Path) -> None:
        self._beats = (directory / "beats").open("w", buffering=1)
        self._blocks = (directory / "blocks").open("w", buffering=1)
        self._thread = threading.get_ident()
        self._began: float | None = None
        self._seen: list[str] = []

    def begin(self) -> None:
        """From now on, in the process's main thread."""
        run, watch = Handle._run, self  # noqa: SLF001 - there is no hook for it

        def run_watched(handle: Handle) -> None:
            if threading.get_ident() != watch._thread:
                run(handle)  # of a loop that a worker has for itself: it keeps nobody
                return
            watch._began = time.monotonic()
            before = time.thread_time()
            try:
                run(handle)
            finally:
                watch._ended(time.thread_time() - before, handle)

        Handle._run = run_watched  # type: ignore[method-assign]  # noqa: SLF001
        threading.Thread(target=self._look, name="loop watch", daemon=True).start()

    async def beat(self) -> None:
        """Note how late the loop is, for ever."""
        while True:
            due = time.monotonic() + BEAT_SECONDS
            await asyncio.sleep(BEAT_SECONDS)
            self._beats.write(f"{due:.4f} {time.monotonic() - due:.4f}\n")

    def _ended(self, cpu_seconds: float, handle: Handle) -> None:
        self._began, seen, self._seen = None, self._seen, []
        if cpu_seconds >= LONG_SECONDS:
            # What holds the interpreter all the time, cannot be seen; then it helps to know whose turn it was.
            turn = repr(getattr(handle._callback, "__self__", handle))  # type: ignore[attr-defined]  # noqa: SLF001
            self._blocks.write(json.dumps([time.monotonic(), cpu_seconds, seen, turn]) + "\n")

    def _look(self) -> None:
        while True:
            time.sleep(LOOK_SECONDS)
            began = self._began
            if began is not None and time.monotonic() - began >= LOOK_SECONDS:
                frame = sys._current_frames()[self._thread]  # noqa: SLF001 - what it is there for
                # Not as the library extracts it: that reads the sources, and by then the callback has ended.
                outwards = [
                    f"{each.f_code.co_filename}:{line} {each.f_code.co_name}"
                    for each, line in islice(traceback.walk_stack(frame), _FRAMES)
                ]
                if self._began == began:
                    self._seen = outwards[::-1]


@asynccontextmanager
async def watched_service(
    state_dir: Path, *arguments: str, serve: Sequence[str] = SANDBOX, **settings: str
) -> AsyncIterator[tuple[RunningService, Path]]:
    """A service whose loop is watched, and the directory of what is written down; ``arguments`` are this program's."""
    notes = state_dir / "watch"
    notes.mkdir(exist_ok=True)
    service = RunningService(state_dir, settings, serve)
    service.program = (sys.executable, "-m", "bench.watching", str(notes), *arguments)
    try:
        await service.start()
        yield service, notes
    finally:
        await service.close()


def blocks_between(directory: Path, since: float, until: float) -> list[Block]:
    """Callbacks that ended in that time, the longest first."""
    found = [Block(*json.loads(line)) for line in (directory / "blocks").read_text().splitlines()]
    return sorted((each for each in found if since <= each.at <= until), key=lambda each: -each.cpu_seconds)


def lateness_between(directory: Path, since: float, until: float) -> list[float]:
    """Seconds that the loop was late in that time, in rising order."""
    lines = [line.split() for line in (directory / "beats").read_text().splitlines() if line.count(" ") == 1]
    return sorted(float(late) for due, late in lines if since <= float(due) <= until)


class _WatchedPolicy(asyncio.DefaultEventLoopPolicy):
    """The loop of the program's main thread beats."""

    def __init__(self, watch: LoopWatch) -> None:
        super().__init__()
        self._watch = watch
        self._beating: list[asyncio.Task[Any]] = []

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        loop = super().new_event_loop()
        if threading.current_thread() is threading.main_thread():
            loop.call_soon(lambda: self._beating.append(loop.create_task(self._watch.beat(), name="beat")))
        return loop


class StubDriver:
    """A power driver that switches nothing, over kubeconfigs in a directory."""

    def __init__(self, directory: Path) -> None:
        self._access = {path.stem: json.loads(path.read_text()) for path in directory.glob("one-of-many-*.json")}
        self._off: set[str] = set()

    async def state(self, instance: str) -> ClusterStatus:
        """As it was switched last."""
        if instance not in self._access:
            return ClusterStatus(PowerState.ABSENT)
        off = instance in self._off
        return ClusterStatus(PowerState.STOPPED if off else PowerState.RUNNING, f"off-{off}")

    async def start(self, instance: str) -> None:
        """At once."""
        self._off.discard(instance)

    async def stop(self, instance: str, *, drain: bool) -> None:  # noqa: ARG002 - there is nothing to drain
        """At once."""
        self._off.add(instance)

    async def access(self, instance: str) -> ClusterAccess:
        """To a port of the one process."""
        return ClusterAccess(self._access[instance])

    async def mounts(self, _instance: str) -> None:
        """None: backups go to a store outside."""

    async def list(self) -> dict[str, ClusterStatus]:
        """All of them."""
        return {name: await self.state(name) for name in self._access}

    async def import_images(self, _instance: str, _references: Sequence[str]) -> Sequence[str]:
        """None."""
        return []

    async def tools(self) -> Sequence[ToolCheck]:
        """None."""
        return []


def main(arguments: list[str]) -> None:
    """The command line of the service, watched."""
    from app.cli.main import run

    notes, *arguments = arguments
    watch = LoopWatch(Path(notes))
    asyncio.set_event_loop_policy(_WatchedPolicy(watch))
    watch.begin()
    if arguments[0] == "--clusters":
        from app import main as composition

        driver = StubDriver(Path(arguments[1]))
        composition.power_driver = lambda _settings: driver
        arguments = arguments[2:]
    sys.argv[1:] = arguments
    run()


if __name__ == "__main__":
    main(sys.argv[1:])
