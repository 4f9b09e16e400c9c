"""The database file: how it is written, and what is said when it cannot be."""

import asyncio
import os
import sqlite3
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import event, text
from sqlalchemy.engine import Engine
from sqlmodel import Session

from app.db import Database, DatabaseError, DatabaseUnsuitable, database_url, migrations_directory
from app.settings import Settings


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """A database with one small table."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    await database.write(lambda session: session.execute(text("CREATE TABLE note (words TEXT)")))
    yield database
    await database.close()


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
async def test_every_file_of_it_is_private_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    """Secrets of webhooks lie there; SQLite gives its log the rights of the database."""
    before = os.umask(umask)
    try:
        database = Database(database_url(Settings(home=tmp_path)))
        await database.write(lambda session: session.execute(text("CREATE TABLE note (words TEXT)")))
    finally:
        os.umask(before)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in (tmp_path / "state").iterdir()}
    assert modes == dict.fromkeys(["state.db", "state.db-wal", "state.db-shm"], "0o600")
    await database.close()


async def add_note(database: Database, words: str) -> None:
    """One row."""
    await database.write(lambda session: session.execute(text("INSERT INTO note VALUES (:words)"), {"words": words}))


async def value_of(database: Database, query: str) -> object:
    """The first column of the first row."""
    return await database.read(lambda session: session.execute(text(query)).scalar())


async def test_work_goes_on_while_threads_are_replaced(database: Database) -> None:
    """One that runs comes to its end, and its thread after it; what comes meanwhile has a new one."""
    may_end = threading.Event()

    def held(_session: Session) -> threading.Thread:
        may_end.wait(30)
        return threading.current_thread()

    holding = asyncio.create_task(database.read(held))
    await asyncio.sleep(0.01)
    database.threads.replace()
    other = await database.read(lambda _session: threading.current_thread())
    may_end.set()
    old = await holding
    await asyncio.to_thread(old.join, 30)
    assert (old.is_alive(), other is old, other.is_alive()) == (False, False, True)


@pytest.mark.parametrize(
    ("pragma", "value"), [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 10_000)]
)
async def test_every_connection_is_durable_and_strict(database: Database, pragma: str, value: object) -> None:
    """``synchronous=2`` is FULL: what was committed is on the disk."""
    assert await value_of(database, f"PRAGMA {pragma}") == value


async def test_a_write_holds_the_file_from_its_beginning(database: Database, tmp_path: Path) -> None:
    """BEGIN IMMEDIATE: nobody else can write between this transaction's read and its write."""

    def look(_session: Session) -> None:
        other = sqlite3.connect(tmp_path / "state.db", timeout=0, isolation_level=None)
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")
        other.close()

    await database.write(look)


async def test_a_write_that_fails_leaves_nothing_behind(database: Database) -> None:
    """And the next one is not in its way."""

    def write_half(session: Session) -> None:
        session.execute(text("INSERT INTO note VALUES ('half')"))
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        await database.write(write_half)
    await add_note(database, "whole")
    assert await value_of(database, "SELECT group_concat(words) FROM note") == "whole"


async def test_a_write_outlives_repeated_cancellation(database: Database) -> None:
    """The cancellation is heard afterwards: nobody is left in doubt about a row."""
    may_end = threading.Event()

    def write_late(session: Session) -> None:
        may_end.wait(20)
        session.execute(text("INSERT INTO note VALUES ('late')"))

    task = asyncio.create_task(database.write(write_late))
    for _ in range(2):
        await asyncio.sleep(0)
        task.cancel()
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await value_of(database, "SELECT words FROM note") == "late"


async def test_a_full_disk_is_said_and_does_not_end_the_service(tmp_path: Path) -> None:
    """SQLite's own limit on the file's pages gives the same error as a full disk."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")

    @event.listens_for(database.engine, "connect")
    def limit_size(connection: object, _record: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]
        cursor.execute("PRAGMA max_page_count=3")
        cursor.close()

    await database.write(lambda session: session.execute(text("CREATE TABLE note (words TEXT)")))
    with pytest.raises(DatabaseError, match="full") as refused:
        await add_note(database, "x" * 100_000)
    assert "disk" in refused.value.remedy
    await add_note(database, "small")
    await database.close()


async def test_a_damaged_file_is_said(tmp_path: Path) -> None:
    """Instead of an exception of the driver."""
    (tmp_path / "state.db").write_bytes(b"this is no database" * 1000)
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    with pytest.raises(DatabaseError, match="not a database"):
        await database.migrate()
    await database.close()


async def test_a_migration_that_is_cut_off_leaves_no_half_a_schema(tmp_path: Path) -> None:
    """All tables come in one transaction."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")

    @event.listens_for(Engine, "before_cursor_execute")
    def break_off(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        if "CREATE TABLE job_step" in statement:
            raise RuntimeError("killed")

    try:
        with pytest.raises(RuntimeError, match="killed"):
            await database.migrate()
    finally:
        event.remove(Engine, "before_cursor_execute", break_off)
    with sqlite3.connect(tmp_path / "state.db") as look:
        assert look.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall() == []
    look.close()
    await database.migrate()
    await database.close()


async def test_a_schema_that_is_current_needs_no_alembic(tmp_path: Path) -> None:
    """Which most starts would only load and leave in memory."""
    program = (
        "import asyncio, sys\n"
        "from app.db import Database\n"
        "asyncio.run(Database(sys.argv[1]).migrate())\n"
        "print('alembic' in sys.modules)\n"
    )
    for loaded in ("True", "False"):
        command = [sys.executable, "-c", program, f"sqlite:///{tmp_path / 'state.db'}"]
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        said, _ = await process.communicate()
        assert said.decode().strip() == loaded


async def test_migrating_twice_changes_nothing(tmp_path: Path) -> None:
    """Every start of the service does it."""
    database = Database(f"sqlite:///{tmp_path / 'state.db'}")
    await database.migrate()
    await database.migrate()
    newest = max(path.stem[:4] for path in (migrations_directory() / "versions").glob("*.py"))
    assert await value_of(database, "SELECT version_num FROM alembic_version") == newest
    await database.close()


def test_a_state_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    """A file stands where it should be."""
    (tmp_path / "home").write_text("")
    with pytest.raises(DatabaseError, match="state"):
        database_url(Settings(home=tmp_path / "home"))


def test_the_state_directory_is_private(tmp_path: Path) -> None:
    """Job requests and results are nobody else's business."""
    settings = Settings(home=tmp_path / "home")
    assert str(settings.state_directory / "state.db") in database_url(settings)
    assert settings.state_directory.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+asyncpg://kecs:hunter2@db.example/kecs", r"'postgresql\+asyncpg'"),
        ("mysql://kecs:hunter2@db.example/kecs", "'mysql'"),
        ("kecs:hunter2", "no URL of a database"),
        ("postgresql+psycopg://kecs:hunter2@db.example:port/kecs", "no URL of a database"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_without_repeating_it(url: str, words: str) -> None:
    """It may hold a password."""
    with pytest.raises(DatabaseUnsuitable, match=words) as refused:
        Database(url)
    assert "hunter2" not in str(refused.value.problem())
    assert "postgresql+psycopg://" in refused.value.remedy


def test_a_driver_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(DatabaseUnsuitable, match="psycopg cannot be used") as refused:
        Database("postgresql://kecs:hunter2@db.example/kecs")
    assert "kecs-state[postgres]" in refused.value.remedy


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
async def test_every_common_way_to_write_it_means_the_same_driver(scheme: str) -> None:
    """And nothing that is printed of it holds the password."""
    database = Database(f"{scheme}://kecs:hunter2@db.example/kecs")
    assert database.engine.url.drivername == "postgresql+psycopg"
    assert "hunter2" not in f"{database!r} {database.engine!r} {database.__dict__}"
    await database.close()
