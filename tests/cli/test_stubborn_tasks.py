"""The service's end when something in it will not end."""

import asyncio
import sys

PROGRAM = """
import asyncio
from app.cli import serving

serving.GRACE_SECONDS = 0.2

async def swallow():
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass

async def main():
    stubborn = asyncio.create_task(swallow(), name="stubborn")
    await asyncio.sleep(0)
    await serving._end_what_is_left()

asyncio.run(main())
"""


async def test_a_task_that_swallows_its_cancellation_does_not_keep_the_process() -> None:
    """It ends with an error that names the task; ``asyncio.run`` alone would wait for ever."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(20):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 1
    assert b"stubborn" in said
