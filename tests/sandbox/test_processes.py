"""Processes of a sandbox cluster: each is ended, and nothing of it stays."""

import signal
import sys
from pathlib import Path

import psutil
import pytest

from app.sandbox.processes import end, start
from tests.waiting import eventually


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_an_ended_process_is_no_zombie(tmp_path: Path, number: signal.Signals) -> None:
    """The service that powers a cluster off is its parent, and lives on: each stop left two zombies."""
    process = start(["sleep", "60"], tmp_path / "log")
    assert process.alive()

    await end(process, number, 5)

    assert not psutil.pid_exists(process.pid)


async def test_a_process_that_ended_by_itself_is_no_zombie(tmp_path: Path) -> None:
    """As after a crash of a cluster's part."""
    process = start(["true"], tmp_path / "log")

    async def ended() -> bool:
        return not process.alive()

    await eventually(ended)
    await end(process, signal.SIGKILL, 5)

    assert not psutil.pid_exists(process.pid)


async def test_a_process_whose_first_thread_ends_before_the_others_is_no_zombie(tmp_path: Path) -> None:
    """Servers have threads, and the kernel ends them one by one: now and then a stop still left a zombie."""
    program = "import ctypes, threading, time; threading.Thread(target=time.sleep, args=[1]).start(); "
    # Ends the calling thread alone.
    program += "ctypes.CDLL(None).pthread_exit(None)"
    process = start([sys.executable, "-c", program], tmp_path / "log")

    async def first_thread_ended() -> bool:
        return psutil.Process(process.pid).status() == psutil.STATUS_ZOMBIE

    await eventually(first_thread_ended)
    assert not process.take_exit_status()
    await end(process, signal.SIGKILL, 5)

    assert not psutil.pid_exists(process.pid)
