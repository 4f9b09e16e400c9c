"""Doing things side by side, where the first failure ends the others and is raised by itself; and waiting."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, NoReturn, TypeVar

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")


async def side_by_side(*work: Coroutine[Any, Any, T]) -> list[T]:
    """All results in order; the first failure cancels the rest."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one) for one in work]
    except BaseExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]


async def together(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """Two results of different types, side by side."""
    results: list[Any] = await side_by_side(first, second)
    return results[0], results[1]


async def while_watching(work: Coroutine[Any, Any, T], watcher: Coroutine[Any, Any, NoReturn]) -> T:
    """The result of ``work``, unless the watcher raises first; then ``work`` is cancelled."""
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(watcher)
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            await watching
        return await working
    finally:
        for task in (working, watching):
            task.cancel()
        await asyncio.gather(working, watching, return_exceptions=True)


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event; whether it was set in time."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            return await event.wait()
    return False


class Shared(Generic[T]):
    """Work that many ask for in the same moment and that is done once for all of them; it must have a deadline."""

    def __init__(self) -> None:
        self._working: asyncio.Future[T] | None = None

    async def result_of(self, work: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The result of the work that is being done, or else of ``work``; who gives up waiting ends nothing."""
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(work(), name="shared work")
        return await asyncio.shield(self._working)


class WorkStopped(Exception):
    """Raised inside a thread whose work nobody waits for any more."""


async def in_thread_until_cancelled(work: Callable[[Callable[[], None]], T]) -> T:
    """The result of ``work`` from a thread; it is given a function to call now and then, which ends it by raising.

    A thread cannot be ended from outside: without this, copying would go on behind a job that has ended.
    """
    stop = threading.Event()

    def go_on() -> None:
        if stop.is_set():
            raise WorkStopped

    working = asyncio.ensure_future(asyncio.to_thread(work, go_on))
    try:
        return await asyncio.shield(working)
    finally:
        stop.set()
        await asyncio.wait({working})
