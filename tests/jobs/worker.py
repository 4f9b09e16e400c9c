"""A process with a reconciler and one workflow of two steps, to be killed and terminated: ``worker <URL> <how>``.

``hang``: the second step never ends. Prints a line for each step as it begins, and the job as it ended.
"""

import asyncio
import signal
import sys
from typing import Any

from app.db import Database
from app.jobs.journal import Journal
from app.jobs.reconciler import Reconciler
from app.jobs.repository import JobStore
from app.settings import WorkflowSettings

DATABASE, HOW = sys.argv[1:]


def say(words: str) -> None:
    """One line to whoever started this process."""
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()


async def first() -> str:
    """Ends at once."""
    say("first")
    return "one"


async def second() -> str:
    """Ends unless it is to hang."""
    say("second")
    if HOW == "hang":
        await asyncio.Event().wait()
    return "two"


async def run(journal: Journal) -> dict[str, Any]:
    """The workflow."""
    return {"values": [await journal.step(first), await journal.step(second)]}


async def main() -> None:
    """Run the one active job until it ends or SIGTERM comes."""
    database = Database(DATABASE)
    store = JobStore(database, "here")
    terminated = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminated.set)
    job = (await store.active_jobs())[0]
    async with Reconciler(store, {"stop": run}, WorkflowSettings()) as reconciler:
        ending = asyncio.create_task(reconciler.wait(job.id, 30))
        await asyncio.wait([ending, asyncio.create_task(terminated.wait())], return_when=asyncio.FIRST_COMPLETED)
        ending.cancel()
    ended = await store.get(job.id)
    say(f"{ended.status} in attempt {ended.attempt}")
    await database.close()


if __name__ == "__main__":
    asyncio.run(main())
