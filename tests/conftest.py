"""What suites share: databases of both kinds, PostgreSQL's from one server for all tests of a process."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.db import Database
from tests.postgres import PostgresServer, running_postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """A server of its own; only tests marked ``postgres`` may ask for it."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_template(postgres_server: PostgresServer) -> str:
    """A migrated database, to be copied: that takes a tenth of the time."""

    async def migrate(name: str) -> None:
        database = Database(postgres_server.url(name))
        await database.migrate()
        await database.close()

    name = postgres_server.database()
    asyncio.run(migrate(name))
    return name


@pytest.fixture
def database_kind() -> str:
    """SQLite, unless a module asks for both (``tests/databases.py``)."""
    return "sqlite"


@pytest.fixture
def database_url(database_kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Of a new database; SQLite's is not made yet, PostgreSQL's is migrated."""
    if database_kind == "sqlite":
        return f"sqlite:///{tmp_path / 'state.db'}"
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(server.database(request.getfixturevalue("migrated_template")))
