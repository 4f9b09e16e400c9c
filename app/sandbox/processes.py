"""Processes known by id and start time, so that a reused id is never mistaken for ours."""

import asyncio
import os
import signal
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

POLL_SECONDS = 0.01


@dataclass(frozen=True)
class ProcessRef:
    """One process that this sandbox has started, the leader of its own group."""

    pid: int
    created: float

    def as_json(self) -> dict[str, float]:
        """For ``cluster.json``."""
        return asdict(self)

    def alive(self) -> bool:
        """Whether this very process still runs; a zombie does not."""
        try:
            process = psutil.Process(self.pid)
            return process.create_time() == self.created and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False

    def signal_group(self, number: signal.Signals) -> None:
        """Signal the process and everything in its group, if it still is this process."""
        if self.alive():
            signal_group(self.pid, number)

    def take_exit_status(self) -> bool:
        """If it was our own child, do not leave it a zombie; whoever has its id now is let be.

        False while there is no status yet: a process counts as dead when its first thread is, but it has ended only
        with its last one.
        """
        try:
            if psutil.Process(self.pid).create_time() == self.created:
                return os.waitpid(self.pid, os.WNOHANG) != (0, 0)
        except (psutil.NoSuchProcess, ChildProcessError):
            pass
        return True


def signal_group(leader: int, number: signal.Signals) -> None:
    """Signal a process group; one that is gone is success."""
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def start(command: list[str], log: Path) -> ProcessRef:
    """Start a process that outlives us, in a session of its own, with its output in ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
    # The handle is dropped on purpose: the process is owned by cluster.json and ended by its id.
    process.returncode = 0
    return ProcessRef(process.pid, psutil.Process(process.pid).create_time())


def running_for(directory: Path) -> list[ProcessRef]:
    """Our processes that were started for exactly this directory, whoever started them."""
    found = []
    for process in psutil.process_iter(["cmdline", "create_time"]):
        command = process.info["cmdline"] or []
        if "app.sandbox.kubeapi" in command or "app.sandbox.kubelet" in command:
            position = command.index("--directory") + 1 if "--directory" in command else len(command)
            if command[position : position + 1] == [str(directory)]:
                found.append(ProcessRef(process.pid, process.info["create_time"]))
    return found


async def end(process: ProcessRef, number: signal.Signals, seconds: float) -> None:
    """Signal a process's group and wait until it is gone, zombie included; SIGKILL when it takes too long."""
    process.signal_group(number)
    until = time.monotonic() + seconds
    while process.alive():
        if time.monotonic() > until:
            process.signal_group(signal.SIGKILL)
        await asyncio.sleep(POLL_SECONDS)
    while not process.take_exit_status() and time.monotonic() < until + seconds:
        await asyncio.sleep(POLL_SECONDS)
