"""How the process's memory is kept, and its threads."""

import asyncio
import json
import platform
import subprocess
import sys
import threading
from typing import Any

import pytest

from app.memory import Threads, begin_workers

glibc_only = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="these are settings of glibc's malloc")

#: In a process of its own: what is set stays set.
PROGRAM = """
import ctypes, json, os, sys, tempfile, threading

from app.memory import keep_freed_together

libc = ctypes.CDLL(None)
libc.malloc.restype = libc.fopen.restype = ctypes.c_void_p


class Blocks(ctypes.Structure):
    names = "arena ordblks smblks hblks hblkhd usmblks fsmblks uordblks fordblks keepcost"
    _fields_ = [(name, ctypes.c_size_t) for name in names.split()]


libc.mallinfo2.restype = Blocks


def heaps():
    with tempfile.TemporaryDirectory() as directory:
        path = os.path.join(directory, "malloc.xml").encode()
        stream = ctypes.c_void_p(libc.fopen(path, b"w"))
        libc.malloc_info(0, stream)
        libc.fclose(stream)
        return open(path).read().count("<heap ")


def own_blocks_after_a_large_one_was_freed():
    libc.free(ctypes.c_void_p(libc.malloc(4 << 20)))
    before = libc.mallinfo2().hblks
    kept = libc.malloc(1 << 20)
    return libc.mallinfo2().hblks - before


def threads(number):
    together = threading.Barrier(number)

    def work():
        together.wait()
        libc.malloc(100)
        together.wait()

    started = [threading.Thread(target=work) for _ in range(number)]
    for thread in started:
        thread.start()
    for thread in started:
        thread.join()


if sys.argv[1] == "set":
    keep_freed_together()
threads(6)
print(json.dumps({"heaps": heaps(), "own_blocks": own_blocks_after_a_large_one_was_freed()}))
"""


def measured(mode: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, "-c", PROGRAM, mode], capture_output=True, text=True, check=True, timeout=60)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@glibc_only
def test_threads_share_two_heaps_and_large_blocks_stay_outside() -> None:
    """Six threads that allocate at one moment; a megabyte asked for after four were freed."""
    assert measured("set") == {"heaps": 2, "own_blocks": 1}


@glibc_only
def test_glibc_does_otherwise_by_itself() -> None:
    """What the test above would not see if the setting did nothing."""
    left = measured("unset")
    assert left["heaps"] > 2
    assert left["own_blocks"] == 0


async def test_replaced_workers_end_and_lose_nothing() -> None:
    """Idle ones at once, one that works when it is done; what comes meanwhile goes to others."""
    workers, may_end = Threads(begin_workers), threading.Event()
    idle = await asyncio.to_thread(threading.current_thread)
    working = asyncio.create_task(asyncio.to_thread(may_end.wait, 30))
    await asyncio.sleep(0.01)
    workers.replace()
    other = await asyncio.to_thread(threading.current_thread)
    may_end.set()
    assert await working is True
    await asyncio.to_thread(idle.join, 30)
    assert (idle.is_alive(), other is idle, other.is_alive()) == (False, False, True)
