"""The watch over the event loop: it names who has kept it, and nobody else."""

import subprocess
import sys
from pathlib import Path

from bench.watching import blocks_between, lateness_between

KEEPING = """
import asyncio, sys, time
from pathlib import Path
from bench.watching import LoopWatch

def keep_the_loop():
    began = time.thread_time()
    while time.thread_time() - began < 0.06:
        pass

async def main():
    beating = asyncio.create_task(watch.beat())
    await asyncio.sleep(0.1)
    keep_the_loop()
    await asyncio.sleep(0.1)
    beating.cancel()

watch = LoopWatch(Path(sys.argv[1]))
watch.begin()
asyncio.run(main())
"""


def test_what_keeps_the_loop_is_named(tmp_path: Path) -> None:
    """With the seconds it computed, which say nothing of other programs; sleeping is no work."""
    subprocess.run([sys.executable, "-c", KEEPING, str(tmp_path)], check=True, timeout=50)
    longest, *_ = blocks_between(tmp_path, 0, float("inf"))
    assert 0.06 <= longest.cpu_seconds < 0.2
    assert any(frame.endswith("keep_the_loop") for frame in longest.stack)
    assert lateness_between(tmp_path, 0, float("inf"))[-1] >= 0.05
