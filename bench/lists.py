"""Pages of a history of a million jobs on SQLite, as docs/scale.md tells of them (``bench/postgres.py``)."""

import asyncio
import sqlite3
import time
from functools import partial
from pathlib import Path

from bench.history import fill_sqlite, sqlite_bytes
from bench.measure import Measure
from bench.postgres import JOBS, LISTS, PAGE, filled, measure_lists
from bench.scale import LIST_GOAL_MS


async def measure_long_lists(directory: Path) -> list[Measure]:
    """Milliseconds at the 95th percentile, beside the newest page read by sqlite3 alone."""
    directory.mkdir()
    path, url = directory / "state.db", f"sqlite:///{directory / 'state.db'}"
    fill = partial(fill_sqlite, path)
    async with filled("SQLite", url, fill, partial(sqlite_bytes, path), JOBS) as (database, found):
        await measure_lists(found, database, JOBS)
    bare = await asyncio.to_thread(_newest_pages, path)
    name = f"a page of {JOBS:,} jobs, p95 of {LISTS} filters"
    notes = [f"the slowest: {found.slowest_list}"]
    return [Measure(name, [found.p95], "the newest page by sqlite3 alone", bare, LIST_GOAL_MS, unit="ms", notes=notes)]


def _newest_pages(path: Path) -> list[float]:
    database, taken = sqlite3.connect(path), []
    for _ in range(5):
        began = time.perf_counter()
        database.execute("SELECT * FROM job ORDER BY id DESC LIMIT ?", (PAGE,)).fetchall()
        taken.append(1000 * (time.perf_counter() - began))
    database.close()
    return taken
