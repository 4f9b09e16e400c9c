"""The database: one engine, short transactions, and a schema brought up to date before anything else.

SQLite by default, with ``synchronous=FULL``: the record of a proof must be on the disk before a power-off.
Writers begin with a real ``BEGIN IMMEDIATE``, so that two of them wait for each other instead of failing half way.
Postgres works by URL; its driver is the deployer's choice.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import create_engine, event, text
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Session

from app.errors import ServiceError
from app.settings import Settings

#: How long a writer waits for another one, in milliseconds.
BUSY_TIMEOUT_MS = 10_000
#: One writes while the others read; more could only wait for each other.
THREADS = 4
#: What the driver raises for a mistake of the caller and not for a store that does not work.
CALLERS_MISTAKES = (IntegrityError, ProgrammingError, DataError)

T = TypeVar("T")


class DatabaseError(ServiceError):
    """The database could not be read or written; says why and what to do."""

    code, status, title = "database-unavailable", 503, "The database is not usable"


class Database:
    """Transactions over one engine, each a plain function that runs in a thread of the database's own.

    Measured on SQLite: a transaction of four statements takes 1 ms so, and 3 ms through an asynchronous driver, which
    changes threads for every statement.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.engine = create_engine(url, pool_pre_ping=not url.startswith("sqlite"))
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="database")
        self._written = asyncio.Event()
        if self.is_sqlite:
            _prepare_sqlite(self.engine)

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
        """Close every connection, after what still runs on them."""
        await asyncio.to_thread(self._threads.shutdown)
        self.engine.dispose()

    async def read(self, query: Callable[[Session], T]) -> T:
        """The result of ``query`` on a session that is for reading only."""
        return await self._to_its_end(self._read, query)

    async def write(self, change: Callable[[Session], T]) -> T:
        """The result of ``change``, made in one transaction: committed at its end, rolled back by an exception."""
        try:
            return await self._to_its_end(self._write, change)
        finally:
            written, self._written = self._written, asyncio.Event()
            written.set()

    def next_write(self) -> asyncio.Event:
        """Set after the next write of this process. Take it before reading, and nothing is missed by waiting for it."""
        return self._written

    async def check_writable(self) -> None:
        """Raise ``DatabaseError`` unless the write lock can be had; nothing is written, so it may be cancelled."""
        await asyncio.get_running_loop().run_in_executor(self._threads, self._write, lambda _session: None)

    async def migrate(self) -> None:
        """Bring the schema up to this version of the code, wholly or not at all."""
        await self._to_its_end(self._migrate)

    async def _to_its_end(self, work: Callable[..., T], *args: Any) -> T:
        """Wait for a thread even if the caller is cancelled meanwhile, once or more often; raise that afterwards.

        The thread goes on in any case: who left it behind would not know what the row says.
        """
        future = asyncio.get_running_loop().run_in_executor(self._threads, work, *args)
        cancelled: asyncio.CancelledError | None = None
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError as error:
                cancelled = error
        if cancelled is not None:
            future.exception()  # the cancellation is what the caller hears of; a later look at the row tells the rest
            raise cancelled
        return future.result()

    def _read(self, query: Callable[[Session], T]) -> T:
        with _translated(), Session(self.engine, expire_on_commit=False) as session:
            return query(session)

    def _write(self, change: Callable[[Session], T]) -> T:
        with _translated(), Session(self.engine, expire_on_commit=False) as session:
            if self.is_sqlite:
                session.execute(text("BEGIN IMMEDIATE"))
            result = change(session)
            session.commit()
            return result

    def _migrate(self) -> None:
        from alembic import command
        from alembic.config import Config

        configuration = Config()
        configuration.set_main_option("script_location", str(migrations_directory()))
        with _translated(), self.engine.connect() as connection:
            if self.is_sqlite:
                # Alembic opens no transaction on SQLite; without one, a crash would leave half a schema.
                connection.execute(text("BEGIN IMMEDIATE"))
            configuration.attributes["connection"] = connection
            command.upgrade(configuration, "head")
            connection.commit()


@contextmanager
def _translated() -> Iterator[None]:
    """The driver's errors as ours."""
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
    """The configured URL, or SQLite in the state directory (made 0700), in a file only its owner reads."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    path = settings.state_directory / "state.db"
    try:
        settings.state_directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not path.exists():
            # SQLite would leave it to the umask; its other files get the mode of this one.
            path.touch(mode=0o600)
    except OSError as error:
        raise DatabaseError(f"the state directory {settings.state_directory} cannot be made: {error}") from error
    return f"sqlite:///{path}"


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
