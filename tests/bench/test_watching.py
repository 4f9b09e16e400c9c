"""The watch over the event loop: it names who has kept it, and nobody else."""

import subprocess
import sys
from pathlib import Path

from bench.watching import blocks_between, lateness_between

KEEPING = """
import asyncio, sys, time
from pathlib import Path
from bench.watching import LoopWatch

def keep_the_loop(seconds=0.06):
    began = time.thread_time()
    while time.thread_time() - began < seconds:
        pass

async def keep_another_loop():
    keep_the_loop(0.3)

async def main():
    beating = asyncio.create_task(watch.beat())
    await asyncio.to_thread(lambda: asyncio.run(keep_another_loop()))
    await asyncio.sleep(0.1)
    keep_the_loop()
    await asyncio.sleep(0.1)
    beating.cancel()

watch = LoopWatch(Path(sys.argv[1]))
watch.begin()
asyncio.run(main())
"""


def test_what_keeps_the_loop_is_named(tmp_path: Path) -> None:
    """By the seconds it computed, not by those of other programs, of sleep, or of a worker with a loop of its own."""
    subprocess.run([sys.executable, "-c", KEEPING, str(tmp_path)], check=True, timeout=50)
    longest, *_ = blocks_between(tmp_path, 0, float("inf"))
    assert 0.06 <= longest.cpu_seconds < 0.2
    assert any(frame.endswith("keep_the_loop") for frame in longest.stack)
    assert lateness_between(tmp_path, 0, float("inf"))[-1] >= 0.05
