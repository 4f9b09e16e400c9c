"""Watches: what has happened since a version, then what happens, until the client, a deadline or the server ends it."""

import asyncio
import math
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from dataclasses import dataclass

from app.sandbox.kubeapi.failures import expired
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import encode
from app.sandbox.kubeapi.reading import WHOLE, Form, Selection, written
from app.sandbox.kubeapi.store import Change, Store

_BOOKMARK_SECONDS = 60.0
_LAST_BOOKMARK_SECONDS = 2.0
_DEFAULT_SECONDS = 1800


@dataclass(frozen=True)
class WatchOptions:
    resource_version: int = 0
    seconds: int | None = None
    bookmarks: bool = False
    initial_events: bool = False
    form: Form = WHOLE


class Watches:
    """Every open watch of the process; ``close`` ends them all."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._open: dict[asyncio.Queue[Change | None], str] = {}
        self._closed = False
        store.listeners.append(self._notice)

    def close(self) -> None:
        self._closed = True
        for queue in self._open:
            queue.put_nowait(None)

    def _notice(self, change: Change) -> None:
        for queue, storage in self._open.items():
            if storage == change.after.key.storage:
                queue.put_nowait(change)

    async def lines(self, kind: Kind, selection: Selection, options: WatchOptions) -> AsyncGenerator[str, None]:
        """One event in JSON per item, each with its line end."""
        start = 0 if options.initial_events else options.resource_version
        queue: asyncio.Queue[Change | None] = asyncio.Queue()
        self._open[queue] = kind.storage
        try:
            if start and start < self._store.compacted:
                yield self._too_old(start)
                return
            for line in self._first_lines(kind, selection, options, start):
                yield line
            if not self._closed:
                async for line in self._later_lines(queue, kind, selection, options, start):
                    yield line
        finally:
            del self._open[queue]

    def _first_lines(self, kind: Kind, selection: Selection, options: WatchOptions, start: int) -> list[str]:
        version = self._store.version
        if start and not options.initial_events:
            changes = self._store.changes_after(start, kind.storage)
            return [line for change in changes if (line := _line(kind, selection, change, options))]
        records = [
            record for record in self._store.records(kind.storage, selection.namespace) if selection.holds(record)
        ]
        found = [_event("ADDED", written(kind, record, options.form)) for record in records]
        if options.initial_events and options.bookmarks:
            found.append(_bookmark(kind, version, options, end_of_initial_events=True))
        return found

    async def _later_lines(
        self, queue: asyncio.Queue[Change | None], kind: Kind, selection: Selection, options: WatchOptions, start: int
    ) -> AsyncIterator[str]:
        """What happens after ``start``, which may lie in the future; bookmarks now and then and before the end."""
        clock = asyncio.get_running_loop()
        deadline = clock.time() + (options.seconds or _DEFAULT_SECONDS)
        bookmark = _next_bookmark(clock.time(), deadline)
        while (now := clock.time()) < deadline:
            change: Change | None = None
            with suppress(TimeoutError):
                async with asyncio.timeout(min(deadline, bookmark) - now):
                    change = await queue.get()
                    if change is None:
                        return
            if change is not None:
                if change.version > start and (line := _line(kind, selection, change, options)):
                    yield line
            elif clock.time() >= bookmark:
                bookmark = _next_bookmark(clock.time(), deadline)
                if options.bookmarks and self._store.version >= start:
                    yield _bookmark(kind, self._store.version, options)

    def _too_old(self, start: int) -> str:
        message = f"too old resource version: {start} ({self._store.compacted})"
        return _event("ERROR", encode(expired(message).status()))


def _next_bookmark(now: float, deadline: float) -> float:
    """Every minute, and once shortly before the end."""
    last = deadline - _LAST_BOOKMARK_SECONDS
    return min(now + _BOOKMARK_SECONDS, last) if now < last - 0.1 else math.inf


def _line(kind: Kind, selection: Selection, change: Change, options: WatchOptions) -> str:
    """Empty when the change does not concern the selection; an object that leaves it is DELETED."""
    now = change.type != "DELETED" and selection.holds(change.after)
    earlier = change.before is not None and selection.holds(change.before)
    if not now and not earlier:
        return ""
    event = "MODIFIED" if now and earlier else "ADDED" if now else "DELETED"
    return _event(event, written(kind, change.after, options.form))


def _event(event: str, obj: str) -> str:
    return f'{{"type":"{event}","object":{obj}}}\n'


def _bookmark(kind: Kind, version: int, options: WatchOptions, *, end_of_initial_events: bool = False) -> str:
    metadata: dict[str, object] = {"resourceVersion": str(version)}
    if end_of_initial_events:
        metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
    named = {"kind": kind.kind, "apiVersion": kind.api_version}
    if options.form.sort == "table":
        named = {"kind": "Table", "apiVersion": "meta.k8s.io/v1"}
    if options.form.sort == "partial":
        named = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return _event("BOOKMARK", encode({**named, "metadata": metadata}))
