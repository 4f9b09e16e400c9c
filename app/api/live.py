"""Live progress as Server-Sent Events (WHATWG HTML 9.2): the journal's events, each with its id.

A follower reads the journal itself and waits for the next write of this process, so it sees everything once and in
order, whenever it came and wherever it resumed.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from fastapi import Header, Query, Response
from fastapi.responses import StreamingResponse

from app.api.errors import InvalidCursor
from app.api.schemas import EventView
from app.concurrency import set_within
from app.jobs.states import ENDED

if TYPE_CHECKING:
    from app.jobs.repository import JobStore

MEDIA_TYPE = "text/event-stream"
#: A line of comment after this much silence, so that neither side takes the other for dead.
HEARTBEAT_SECONDS = 15.0
#: What a browser waits before it connects again.
RECONNECT_MS = 1000
LARGEST_ID = 2**63 - 1
#: Written in the transaction of a job's end; nothing comes after it.
LAST_OF_A_JOB = {f"job.{status}" for status in ENDED}

After = Annotated[int | None, Query(ge=0, le=LARGEST_ID, description="The `id` of the last event already seen.")]
LastEventId = Annotated[
    str | None, Header(description="The same, as browsers send it when they connect again; wins over `after`.")
]


def wants_stream(accept: str | None) -> bool:
    """Whether the caller asks for a stream rather than for what has happened so far."""
    return any(part.partition(";")[0].strip().lower() == MEDIA_TYPE for part in (accept or "").split(","))


async def read_cursor(store: "JobStore", after: int | None, last_event_id: str | None) -> int | None:
    """The id to go on after; one that the journal has not reached yet would mean to wait for ever."""
    if last_event_id is not None:
        if not last_event_id.isascii() or not last_event_id.isdigit() or int(last_event_id) > LARGEST_ID:
            raise InvalidCursor("Last-Event-ID is not the id of an event", remedy="Send the `id` of an event, or none.")
        after = int(last_event_id)
    if after and after > (newest := await store.tail.newest_id()):
        raise InvalidCursor(
            f"there is no event {after} yet, the newest is {newest}",
            remedy="Begin anew without a cursor; the database may have been replaced.",
        )
    return after


@dataclass(frozen=True)
class Stream:
    """What is followed: one job to its end, or every job for as long as the caller listens."""

    store: "JobStore"
    job_id: str | None = None
    instance: str | None = None

    async def answer(self, cursor: int) -> Response:
        """The stream after ``cursor``. 204 when nothing can come any more, which keeps browsers from trying again."""
        if self.job_id is not None:
            ended = (await self.store.get(self.job_id)).status in ENDED
            if ended and not await self.store.events(self.job_id, cursor):
                return Response(status_code=204)
        return StreamingResponse(self._lines(cursor), media_type=MEDIA_TYPE)

    async def _lines(self, cursor: int) -> AsyncIterator[str]:
        yield f"retry: {RECONNECT_MS}\n\n"
        while True:
            written = self.store.database.next_write()
            events = await self.store.tail.after(cursor, self.job_id, self.instance)
            if events is None:
                events = await self.store.events(self.job_id, cursor, self.instance)
            if events:
                yield "".join(_message(EventView.of(event)) for event in events)
                cursor = events[-1].id or cursor
            if self.job_id is not None and any(event.type in LAST_OF_A_JOB for event in events):
                return
            if not events and not await set_within(written, HEARTBEAT_SECONDS):
                yield ": still here\n\n"


def _message(event: EventView) -> str:
    """One message; JSON has no line breaks of its own. Without a name, so that one listener hears all."""
    return f"id: {event.id}\ndata: {event.model_dump_json()}\n\n"
