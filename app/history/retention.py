"""The loop that removes what is old, at the start of the service and each hour after it.

It removes a few rows at a time and pauses in between, so that jobs hardly wait for it. What the figures say was counted
when it happened, and does not change (``app/jobs/counting.py``).
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import Any, Self

from app.errors import ServiceError
from app.history.store import HistoryStore
from app.queries import now
from app.settings import HistorySettings

EVERY_SECONDS = 3600.0
#: Of one round; what is left is removed by the next ones.
ROUND_SECONDS = 600.0
#: Between two transactions, for everybody else.
PAUSE_SECONDS = 0.1
SHUTDOWN_SECONDS = 10.0
#: No job has a higher one.
LAST_ID = "~"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class OnHost:
    """What an instance's directory tells of its backups, by their names."""

    due: frozenset[str]
    """Those that an outstanding restore or a migration refers to."""
    present: frozenset[str]
    """Those of which there is anything, evidence or data."""


#: Gives None for an instance that has no directory (any more).
LookOnHost = Callable[[str], Awaitable[OnHost | None]]


class Retention:
    """Keeps the history of one host within its bounds; use as an async context manager."""

    def __init__(self, store: HistoryStore, settings: HistorySettings, look_on_host: LookOnHost) -> None:
        self._store = store
        self._settings = settings
        self._look_on_host = look_on_host
        self._loop: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._loop = asyncio.create_task(self._run_forever(), name="remove what is old")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop after the transaction that runs; the rest is as old at the next start."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.wait([self._loop], timeout=SHUTDOWN_SECONDS)

    async def _run_forever(self) -> None:
        while True:
            removed: Counter[str] = Counter()
            try:
                async with asyncio.timeout(ROUND_SECONDS):
                    await self.remove_old(removed)
            except TimeoutError:
                logger.info("more is old than could be removed at once", extra={"action": "history-left"})
            except ServiceError as error:
                logger.error("%s", error.detail, extra={"action": "history-failed"})  # noqa: TRY400 - says it all
            except Exception:
                # Nothing may end this loop: without it the database would grow for ever.
                logger.exception("what is old could not be removed", extra={"action": "history-failed"})
            if removed:
                counts = ", ".join(f"{number} {kind}" for kind, number in removed.items())
                message = "removed what is over since more than %d days: %s"
                logger.info(message, self._settings.keep_days, counts, extra={"action": "history-removed"})
            await asyncio.sleep(EVERY_SECONDS)

    async def remove_old(self, removed: Counter[str]) -> None:
        """One round; ``removed`` is added to as it goes on, by kind of row."""
        store, before = self._store, now() - timedelta(days=self._settings.keep_days)
        for instance in await store.instances():
            try:
                on_host = await self._look_on_host(instance)
            except (ServiceError, OSError) as error:
                # Nobody knows what is needed: that of the others goes all the same.
                message = "nothing of %s is removed: %s"
                logger.warning(message, instance, error, extra={"action": "history-kept"})
                continue
            await self._remove_of(instance, before, on_host, removed)
        messages = partial(store.old_messages, before)
        await _in_batches(messages, store.remove_messages, removed, "messages")
        audit_events = partial(store.old_audit_events, before)
        await _in_batches(audit_events, store.remove_audit_events, removed, "audit events")

    async def _remove_of(self, instance: str, before: datetime, on_host: OnHost | None, removed: Counter[str]) -> None:
        """The backups first: a job stays for as long as the row of a backup leads to it."""
        store, due, present = self._store, frozenset[str](), frozenset[str]()
        below: str | None = LAST_ID
        if on_host is not None:
            due, present = on_host.due, on_host.present
            below = await store.id_of_newest(instance, self._settings.keep_jobs)
        backups = partial(store.old_backups, instance, before, present)
        await _in_batches(backups, partial(store.remove_backups, instance), removed, "deleted backups")
        if below is not None:  # else it has had no more jobs than are kept
            jobs = partial(store.old_jobs, instance, before, below=below, due=due)
            await _in_batches(jobs, store.remove_jobs, removed, "jobs")


async def _in_batches(
    find: Callable[[], Awaitable[Sequence[Any]]],
    remove: Callable[[Sequence[Any]], Awaitable[None]],
    removed: Counter[str],
    kind: str,
) -> None:
    while found := await find():
        await remove(found)
        removed[kind] += len(found)
        await asyncio.sleep(PAUSE_SECONDS)
