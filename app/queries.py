"""Queries as coroutine methods: plain functions on a session, run in one short transaction of their own."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from sqlmodel import Session

from app.db import Database


class HasDatabase(Protocol):
    """A group of queries on one database."""

    database: Database


S = TypeVar("S", bound=HasDatabase)
P = ParamSpec("P")
T = TypeVar("T")
Query = Callable[Concatenate[S, Session, P], T]
Method = Callable[Concatenate[S, P], Awaitable[T]]


def now() -> datetime:
    """The time that goes into rows."""
    return datetime.now(UTC)


def reads(query: Query[S, P, T]) -> Method[S, P, T]:
    """A query as a coroutine method: it is given the session it runs on, in a thread of the database's."""

    @wraps(query)
    async def method(store: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.database.read(lambda session: query(store, session, *args, **kwargs))

    return method


def writes(change: Query[S, P, T]) -> Method[S, P, T]:
    """A change as a coroutine method: one transaction, which goes to its end even if its caller is cancelled."""

    @wraps(change)
    async def method(store: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await store.database.write(lambda session: change(store, session, *args, **kwargs))

    return method
