"""The journal's newest events in memory: read once after each write, however many follow.

Measured with fifty followers on two loaded cores: an event took 62 ms to a follower (p99 136 ms) when each read the
database for itself, and 16 ms (p99 40 ms) so.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from sqlalchemy import func
from sqlmodel import Session, col, select

from app.db import Database
from app.jobs.models import Job, JobEvent
from app.queries import reads

#: Enough for every follower that keeps up; who comes from further back reads the database until it has caught up.
KEPT_EVENTS = 2000
MOST_READ = 1000
FRESH_SECONDS = 1.0


class Tail:
    """The last events of all jobs of one database."""

    def __init__(self, database: Database) -> None:
        self.database = database
        #: By id, with the instance of each.
        self._events: deque[tuple[int, str, JobEvent]] = deque(maxlen=KEPT_EVENTS)
        #: Everything after this id is in memory.
        self._floor = 0
        #: The write that makes what was read old, and when it gets old without one: another process may write too.
        self._next_write: asyncio.Event | None = None
        self._old_at = 0.0
        self._reading = asyncio.Lock()

    async def after(self, cursor: int, job_id: str | None, instance: str | None) -> Sequence[JobEvent] | None:
        """Events with a higher id, oldest first; None if memory does not reach back that far."""
        async with self._reading:
            clock = asyncio.get_running_loop().time
            if self._next_write is None or self._next_write.is_set() or clock() > self._old_at:
                # Taken before the read: what is written during it is read next time.
                next_write = self.database.next_write()
                await self._catch_up()
                self._next_write, self._old_at = next_write, clock() + FRESH_SECONDS
        if cursor < self._floor:
            return None
        return [
            event
            for number, of_instance, event in self._events
            if number > cursor and job_id in {None, event.job_id} and instance in {None, of_instance}
        ]

    async def _catch_up(self) -> None:
        if self._next_write is None:
            self._floor = await self.newest_id()
        more = True
        while more:
            found = await self._events_after(self._events[-1][0] if self._events else self._floor)
            more = len(found) == MOST_READ
            for event, instance in found:
                if len(self._events) == KEPT_EVENTS:
                    self._floor = self._events[0][0]
                self._events.append((event.id or 0, instance, event))

    @reads
    def newest_id(self, session: Session) -> int:
        """The id of the newest event, 0 without any."""
        return session.execute(select(func.max(JobEvent.id))).scalar() or 0

    @reads
    def _events_after(self, session: Session, after: int) -> Sequence[tuple[JobEvent, str]]:
        query = select(JobEvent, Job.instance).join(Job).where(col(JobEvent.id) > after)
        return [
            (event, instance) for event, instance in session.execute(query.order_by(col(JobEvent.id)).limit(MOST_READ))
        ]
