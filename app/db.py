"""The database: one engine, short transactions, and a schema brought up to date before anything else.

SQLite by default, with ``synchronous=FULL``: the record of a proof must be on the disk before a power-off.
Writers begin with a real ``BEGIN IMMEDIATE``, so that two of them wait for each other instead of failing half way.
PostgreSQL by URL, when several hosts share one history; there too, one transaction writes at a time.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlmodel import Session

from app import postgres
from app.errors import ServiceError
from app.memory import Threads
from app.settings import Settings

#: How long a writer waits for another one, in milliseconds.
BUSY_TIMEOUT_MS = 10_000
#: Of each connection; pages lie in the system's cache anyway, and SQLite's own 2 MiB each fill up with the history.
CACHE_KIB = 512
#: One writes while the others read; more could only wait for each other.
THREADS = 4
#: What the driver raises for a mistake of the caller and not for a store that does not work.
CALLERS_MISTAKES = (IntegrityError, ProgrammingError, DataError)

_URL_REMEDY = "Write it as postgresql+psycopg://USER:PASSWORD@HOST:5432/NAME, or leave it out for SQLite."

T = TypeVar("T")


class DatabaseError(ServiceError):
    """The database could not be read or written; says why and what to do."""

    code, status, title = "database-unavailable", 503, "The database is not usable"


class DatabaseUnsuitable(DatabaseError):
    """This database, or its version, is none that this version of the code can work with."""

    code, title = "database-unsuitable", "The database does not suit this version"


class Database:
    """Transactions over one engine, each a plain function that runs in a thread of the database's own.

    Measured on SQLite: a transaction of four statements takes 1 ms so, and 3 ms through an asynchronous driver, which
    changes threads for every statement.
    """

    def __init__(self, url: str) -> None:
        self._url = _parsed(url)
        self.is_sqlite = self._url.get_backend_name() == "sqlite"
        self.engine = _sqlite_engine(self._url) if self.is_sqlite else postgres.create_pool(self._url, THREADS)
        self._reading = self.engine if self.is_sqlite else postgres.for_reading(self.engine)
        #: Looks, first in every transaction that writes, whether this process still may; raises if not.
        self.fence: Callable[[Session], None] | None = None
        self.threads = Threads(partial(ThreadPoolExecutor, THREADS, thread_name_prefix="database"))
        self._written = asyncio.Event()

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
        await asyncio.to_thread(self.threads.pool.shutdown)
        self.engine.dispose()

    async def read(self, query: Callable[[Session], T]) -> T:
        """The result of ``query`` on a session that is for reading only."""
        return await self.to_its_end(self._read, query)

    async def write(self, change: Callable[[Session], T]) -> T:
        """The result of ``change``, made in one transaction: committed at its end, rolled back by an exception."""
        try:
            return await self.to_its_end(self._write, change)
        finally:
            written, self._written = self._written, asyncio.Event()
            written.set()

    def next_write(self) -> asyncio.Event:
        """Set after the next write of this process. Take it before reading, and nothing is missed by waiting for it."""
        return self._written

    async def check_writable(self) -> None:
        """Raise ``DatabaseError`` unless the write lock can be had; nothing is written, so it may be cancelled."""
        await asyncio.get_running_loop().run_in_executor(self.threads.pool, self._write, lambda _session: None)

    def connect_alone(self) -> Connection:
        """A connection of PostgreSQL beside the pool, for locks that last as long as it does."""
        with self.translated():
            return postgres.connect_alone(self._url)

    async def migrate(self) -> None:
        """Bring the schema up to this version of the code, wholly or not at all."""
        await self.to_its_end(self._migrate)

    async def to_its_end(self, work: Callable[..., T], *args: Any) -> T:
        """Wait for a thread even if the caller is cancelled meanwhile, once or more often; raise that afterwards.

        The thread goes on in any case: who left it behind would not know what the row says.
        """
        future = asyncio.get_running_loop().run_in_executor(self.threads.pool, work, *args)
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
        with self.translated(), Session(self._reading, expire_on_commit=False) as session:
            return query(session)

    def _write(self, change: Callable[[Session], T]) -> T:
        with self.translated(), Session(self.engine, expire_on_commit=False) as session:
            if self.is_sqlite:
                session.execute(text("BEGIN IMMEDIATE"))
            else:
                postgres.begin_writing(session)
            if self.fence is not None:
                self.fence(session)
            result = change(session)
            session.commit()
            return result

    def _migrate(self) -> None:
        with self.translated(), self.engine.connect() as connection:
            if not self.is_sqlite:
                _check_server_version(connection)
            if _is_current(connection):
                return
            connection.rollback()
            self._upgrade(connection)

    def _upgrade(self, connection: Connection) -> None:
        from alembic import command
        from alembic.config import Config

        configuration = Config()
        configuration.set_main_option("script_location", str(migrations_directory()))
        if self.is_sqlite:
            # Alembic opens no transaction on SQLite; without one, a crash would leave half a schema.
            connection.execute(text("BEGIN IMMEDIATE"))
        else:
            postgres.begin_migrating(connection)
        _check_revision(connection, configuration)
        configuration.attributes["connection"] = connection
        command.upgrade(configuration, "head")
        connection.commit()

    @contextmanager
    def translated(self) -> Iterator[None]:
        """The driver's errors as ours; none of them repeats the URL, which may hold a password."""
        try:
            yield
        except (DBAPIError, PoolTimeoutError) as error:
            reason = getattr(error, "orig", None) or error
            if isinstance(error, CALLERS_MISTAKES) and not postgres.is_schema_trouble(reason):
                raise
            said = " ".join(str(reason).split())[:300]
            if self.is_sqlite:
                raise DatabaseError(
                    f"the database cannot be used: {said}",
                    remedy="Check the disk's free space and the rights on the state directory.",
                ) from error
            raise DatabaseError(
                f"the database at {place_of(self._url)} cannot be used: {said}", remedy=postgres.remedy_for(said)
            ) from error


def place_of(url: URL) -> str:
    """Where a database is, without who asks and by which password."""
    return f"{url.host or 'a local socket'}{f':{url.port}' if url.port else ''}/{url.database or ''}"


def _parsed(url: str) -> URL:
    """The URL with the driver there is for it; what cannot be used is refused without repeating it."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise DatabaseUnsuitable("KECS_STATE_DATABASE_URL is no URL of a database", remedy=_URL_REMEDY) from None
    if parsed.drivername in {"postgres", "postgresql", postgres.DRIVER}:
        try:
            import_module("psycopg")
        except ImportError as error:  # of the package, or by it of PostgreSQL's own library
            raise DatabaseUnsuitable(
                f"PostgreSQL's driver psycopg cannot be used: {error}",
                remedy="Install it with: pip install 'kecs-state[postgres]'",
            ) from None
        return parsed.set(drivername=postgres.DRIVER)
    if parsed.drivername != "sqlite":
        raise DatabaseUnsuitable(f"no database is reached by {parsed.drivername!r} here", remedy=_URL_REMEDY)
    return parsed


def _check_server_version(connection: Connection) -> None:
    version = connection.dialect.server_version_info or ()
    if version < (postgres.OLDEST_VERSION,):
        raise DatabaseUnsuitable(
            f"PostgreSQL {'.'.join(map(str, version))} is too old",
            remedy=f"Use PostgreSQL {postgres.OLDEST_VERSION} or a newer one.",
        )


def _is_current(connection: Connection) -> bool:
    """Whether there is nothing to bring up to date; most starts need not load Alembic then, which takes 0.1 s."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    newest = max(path.stem.partition("_")[0] for path in (migrations_directory() / "versions").glob("[0-9]*.py"))
    return [*connection.execute(text("SELECT version_num FROM alembic_version")).scalars()] == [newest]


def _check_revision(connection: Connection, configuration: Any) -> None:
    """Refuse a schema that a newer version has made: its rows may mean what this one does not know."""
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    known = {script.revision for script in ScriptDirectory.from_config(configuration).walk_revisions()}
    unknown = set(MigrationContext.configure(connection).get_current_heads()) - known
    if unknown:
        raise DatabaseUnsuitable(
            f"a newer version of kecs-state has changed the database: its schema is {max(unknown)}, the newest known "
            f"here is {max(known)}",
            remedy="Update kecs-state on this host, or go back to a copy of the database from before.",
        )


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


def _sqlite_engine(url: URL) -> Engine:
    """Pragmas for every connection, and no implicit BEGIN of the driver: transactions are ours alone."""
    engine = create_engine(url, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=FULL",
            f"busy_timeout={BUSY_TIMEOUT_MS}",
            "foreign_keys=ON",
            f"cache_size=-{CACHE_KIB}",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        if sys.platform == "darwin":
            # Without it, macOS lets the disk keep in its cache what it said was written.
            cursor.execute("PRAGMA fullfsync=ON")
        cursor.close()

    return engine
