"""The database: one engine, short transactions, and a schema brought up to date before anything else.

SQLite by default, with ``synchronous=FULL``: the record of a proof must be on the disk before a power-off.
Writers begin with a real ``BEGIN IMMEDIATE``, so that two of them wait for each other instead of failing half way.
Postgres works by URL; its driver is the deployer's choice.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from app.errors import ServiceError
from app.settings import Settings

#: How long a writer waits for another one, in milliseconds.
BUSY_TIMEOUT_MS = 10_000
#: What the driver raises for a mistake of the caller and not for a store that does not work.
CALLERS_MISTAKES = (IntegrityError, ProgrammingError, DataError)

T = TypeVar("T")


class DatabaseError(ServiceError):
    """The database could not be read or written; says why and what to do."""

    code, status, title = "database-unavailable", 503, "The database is not usable"


class Database:
    """Sessions over one engine: ``read`` for a query, ``write`` for one transaction, committed at its end."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._engine = create_async_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        if self.is_sqlite:
            _prepare_sqlite(self._engine.sync_engine)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is a file of ours and not a server."""
        return self.url.startswith("sqlite")

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings) -> "AsyncIterator[Database]":
        """The database of the settings, closed at the end."""
        database = cls(database_url(settings))
        try:
            yield database
        finally:
            await database.close()

    async def close(self) -> None:
        """Close every connection."""
        await self._engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncSession]:
        """A session for queries only."""
        async with self._translated(), AsyncSession(self._engine, expire_on_commit=False) as session:
            yield session

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncSession]:
        """One write transaction: committed at the end, rolled back by an exception."""
        async with self._translated(), AsyncSession(self._engine, expire_on_commit=False) as session:
            if self.is_sqlite:
                await session.execute(text("BEGIN IMMEDIATE"))
            yield session
            await session.commit()

    async def migrate(self) -> None:
        """Bring the schema up to this version of the code, wholly or not at all."""
        from alembic import command
        from alembic.config import Config

        configuration = Config()
        configuration.set_main_option("script_location", str(migrations_directory()))

        def upgrade(connection: Any) -> None:
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")

        async with self._translated(), self._engine.connect() as connection:
            if self.is_sqlite:
                # Alembic opens no transaction on SQLite; without one, a crash would leave half a schema.
                await connection.execute(text("BEGIN IMMEDIATE"))
            await connection.run_sync(upgrade)
            await connection.commit()

    @asynccontextmanager
    async def _translated(self) -> AsyncIterator[None]:
        try:
            yield
        except CALLERS_MISTAKES:
            raise
        except (DBAPIError, PoolTimeoutError) as error:
            reason = getattr(error, "orig", None) or error
            raise DatabaseError(
                f"the database cannot be used: {str(reason)[:200]}",
                remedy="Check the disk's free space and the rights on the state directory.",
            ) from error


def database_url(settings: Settings) -> str:
    """The configured URL, or SQLite in the state directory (made 0700)."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    try:
        settings.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise DatabaseError(f"the state directory {settings.state_directory} cannot be made: {error}") from error
    return f"sqlite+aiosqlite:///{settings.state_directory / 'state.db'}"


def migrations_directory() -> Path:
    """Where the migrations lie: inside the installed package, or at the top of a checkout."""
    packaged = Path(__file__).parent / "migrations"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent / "migrations"


def _prepare_sqlite(engine: Any) -> None:
    """Pragmas for every connection, and no implicit BEGIN of the driver: transactions are ours alone."""

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in ("journal_mode=WAL", "synchronous=FULL", f"busy_timeout={BUSY_TIMEOUT_MS}", "foreign_keys=ON"):
            cursor.execute(f"PRAGMA {pragma}")
        if sys.platform == "darwin":
            # Without it, macOS lets the disk keep in its cache what it said was written.
            cursor.execute("PRAGMA fullfsync=ON")
        cursor.close()


async def shielded(work: Coroutine[Any, Any, T]) -> T:
    """Await a write to its end even if the caller is cancelled meanwhile, once or more often.

    The cancellation is raised afterwards: a write cut in two would leave neither the row nor the connection
    in a known state.
    """
    task = asyncio.create_task(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        task.exception()  # the cancellation is what the caller hears of; a later look at the row tells the rest
        raise cancelled
    return task.result()
