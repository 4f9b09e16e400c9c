"""The loop that delivers: level-triggered, so that what a crash left behind is its ordinary work.

A delivery leaves the queue only when its outcome is written down. What was sent in the moment of a crash is sent again
with the same ``webhook-id``: at least once, never less.
"""

import asyncio
import logging
from asyncio import FIRST_COMPLETED
from types import TracebackType
from typing import Self

from app.db import DatabaseError
from app.errors import ServiceError
from app.queries import now
from app.webhooks.addresses import redacted_url
from app.webhooks.queue import DeliveryQueue, Message, Outcome
from app.webhooks.sending import Sender

AT_ONCE = 4
#: Looked at anew after this long even without news: a machine that slept has another time.
LONGEST_PAUSE_SECONDS = 60.0
TROUBLE_PAUSE_SECONDS = 2.0
SHUTDOWN_SECONDS = 5.0

logger = logging.getLogger(__name__)


class Deliverer:
    """Delivers the messages of one host, one at a time to each receiver; use as an async context manager."""

    def __init__(self, queue: DeliveryQueue, sender: Sender) -> None:
        self._queue = queue
        self._sender = sender
        self._loop: asyncio.Task[None] | None = None
        self._flying: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        await self._sender.__aenter__()
        self._loop = asyncio.create_task(self._run_forever(), name="deliver webhooks")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop at once; what was not heard stays in the queue."""
        tasks = [task for task in (self._loop, *self._flying.values()) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=SHUTDOWN_SECONDS)
        await self._sender.__aexit__(kind, error, traceback)

    async def _run_forever(self) -> None:
        while True:
            written = self._queue.database.next_write()
            try:
                pause = await self._turn()
            except ServiceError as error:
                logger.error("%s", error.detail, extra={"action": "deliver-failed"})  # noqa: TRY400 - says it all
                pause = TROUBLE_PAUSE_SECONDS
            except Exception:
                # Nothing may end this loop: without it no message would ever go out again.
                logger.exception("the deliveries could not be looked at", extra={"action": "deliver-failed"})
                pause = TROUBLE_PAUSE_SECONDS
            await self._news(written, pause)

    async def _turn(self) -> float:
        """Begin what is due; gives the seconds until something else is."""
        self._flying = {receiver: task for receiver, task in self._flying.items() if not task.done()}
        while len(self._flying) < AT_ONCE:
            message = await self._queue.next(list(self._flying))
            if message is None:
                return LONGEST_PAUSE_SECONDS
            seconds = (message.due_at - now()).total_seconds()
            if seconds > 0:
                return min(seconds, LONGEST_PAUSE_SECONDS)
            self._flying[message.receiver] = asyncio.create_task(self._deliver(message), name=f"deliver {message.id}")
        return LONGEST_PAUSE_SECONDS

    async def _news(self, written: asyncio.Event, pause: float) -> None:
        """Wait for a write, for the end of an attempt, or for that many seconds."""
        write = asyncio.create_task(written.wait())
        try:
            await asyncio.wait([write, *self._flying.values()], timeout=pause, return_when=FIRST_COMPLETED)
        finally:
            write.cancel()

    async def _deliver(self, message: Message) -> None:
        try:
            outcome = await self._sender.send(message)
        except Exception:
            logger.exception("message %s could not be sent", message.id, extra={"action": "deliver-crashed"})
            outcome = Outcome(error="an unexpected error; the service's log has the details")
        status = await self._record(message, outcome)
        if not outcome.delivered:
            logger.info(
                "message %s to %s is %s: %s", message.id, redacted_url(message.url), status or "deleted", outcome.error,
                extra={"action": "deliver-refused"},
            )  # fmt: skip

    async def _record(self, message: Message, outcome: Outcome) -> str:
        """Write the outcome down, however long it takes: without it the message would go out again and again."""
        while True:
            try:
                return await self._queue.record(message, outcome)
            except DatabaseError as error:
                logger.error("%s", error.detail, extra={"action": "store-failed"})  # noqa: TRY400 - says it all
            except Exception:
                logger.exception("the outcome of %s is not recorded", message.id, extra={"action": "deliver-crashed"})
            await asyncio.sleep(TROUBLE_PAUSE_SECONDS)
