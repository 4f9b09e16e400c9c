"""The schema: up from every version with its rows, the same as the models, and down again, on both databases."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Engine, MetaData, create_engine, func, insert, select
from sqlmodel import SQLModel

from app.db import Database, DatabaseUnsuitable, migrations_directory
from app.jobs.models import BackupRecord
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from tests.databases import ON_BOTH_DATABASES
from tests.jobs.conftest import make_job
from tests.postgres import PostgresServer

pytestmark = ON_BOTH_DATABASES

REVISIONS = sorted(path.stem[:4] for path in (migrations_directory() / "versions").glob("*.py"))
AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
#: A row of each table as any version would have written it, less what that version does not know.
ROWS: dict[str, dict[str, Any]] = {
    "job": {
        "id": "01a2", "type": "stop", "instance": "demo", "host": "here", "status": "succeeded", "request": {"a": 1},
        "labels": {}, "result": {"protected": True}, "error": None, "warnings": [{"code": "w"}], "step": None,
        "progress": None, "attempt": 2, "backup": "b", "created_at": AT, "started_at": AT, "finished_at": AT,
        "deadline_at": AT, "power_off_begun_at": AT, "idempotency_key": "key", "fingerprint": "print",
    },
    "job_step": {
        "job_id": "01a2", "key": "prove#2", "status": "succeeded", "result": [1, None], "error": None, "started_at": AT,
        "finished_at": AT,
    },
    "job_event": {"job_id": "01a2", "at": AT, "type": "job.succeeded", "data": {"seconds": 1.5}},
    "backup": {
        "host": "here", "instance": "demo", "name": "b", "instance_id": "i", "job_id": "01a2", "scope": "full",
        "status": "proven", "pinned": True, "size_bytes": 7, "items": 3, "seconds": 0.5, "created_at": AT,
        "proven_at": AT, "deleted_at": None, "proof": {"level": "deep"},
    },
    "token": {
        "id": "t", "name": "me", "digest": "d", "scope": "read", "created_at": AT, "revoked_at": None,
    },
    "audit_event": {"at": AT, "host": "here", "caller": "me", "method": "POST", "path": "/x", "status": 202},
    "webhook_endpoint": {
        "id": "e", "host": "here", "url": "http://127.0.0.1/", "description": "", "events": ["job.failed"],
        "secret": "s", "previous_secret": None, "previous_secret_until": None, "disabled_at": None,
        "disabled_reason": "", "created_at": AT,
    },
    "webhook_delivery": {
        "id": "m", "host": "here", "endpoint_id": "e", "url": None, "job_id": "01a2", "type": "job.failed",
        "body": "{}", "status": "pending", "attempts": 0, "next_attempt_at": AT, "last_status": None, "last_error": "",
        "created_at": AT, "delivered_at": None,
    },
    "figure": {
        "host": "here", "instance": "demo", "name": "backups", "label": "proven", "count": 1, "seconds": 0.0,
        "last_at": AT,
    },
    "host_claim": {"host": "here", "number": 3, "holder": "process 1", "since": AT},
}  # fmt: skip


@pytest.fixture
def database_url(database_kind: str, database_url: str, request: pytest.FixtureRequest) -> str:
    """Of a database without any table."""
    if database_kind == "sqlite":
        return database_url
    server: PostgresServer = request.getfixturevalue("postgres_server")
    return server.url(server.database())


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """To look at it by hand."""
    engine = create_engine(database_url)
    yield engine
    engine.dispose()


def configuration(url: str) -> Config:
    """Alembic as a developer runs it."""
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()))
    config.set_main_option("sqlalchemy.url", url)
    return config


def write_rows(engine: Engine) -> list[str]:
    """One row into each table there is now; gives the tables' names."""
    # The models know how times and documents are written; which columns there are the database says.
    there, models = MetaData(), SQLModel.metadata.tables
    there.reflect(engine, only=lambda name, _metadata: name != "alembic_version")
    with engine.begin() as connection:
        for table in there.sorted_tables:
            values = {name: value for name, value in ROWS[table.name].items() if name in table.columns}
            connection.execute(insert(models[table.name]).values(values))
    return [table.name for table in there.sorted_tables]


def test_migrations_go_up_match_the_models_and_go_down(database_url: str) -> None:
    """``check`` fails when the models have something that no migration makes."""
    config = configuration(database_url)
    command.upgrade(config, "head")
    command.check(config)
    command.downgrade(config, "base")


def test_an_index_is_partial_on_every_database(database_url: str, engine: Engine) -> None:
    """The models say it for SQLite alone."""
    command.upgrade(configuration(database_url), "head")
    there = MetaData()
    there.reflect(engine)
    found, wanted = partial_indexes(there, engine.dialect.name), partial_indexes(SQLModel.metadata, "sqlite")
    assert len(wanted) == 5
    assert found == wanted


def partial_indexes(tables: MetaData, dialect: str) -> set[str | None]:
    """Names of those that leave rows out."""
    indexes = [index for table in tables.tables.values() for index in table.indexes]
    return {index.name for index in indexes if index.dialect_kwargs.get(f"{dialect}_where") is not None}


@pytest.mark.parametrize("revision", REVISIONS)
async def test_the_rows_of_every_version_are_read_by_this_one(database_url: str, engine: Engine, revision: str) -> None:
    """Nothing is lost on the way, and what was written before has followers."""
    command.upgrade(configuration(database_url), revision)
    tables = write_rows(engine)
    database = Database(database_url)
    await database.migrate()
    with engine.connect() as connection:
        for name in tables:
            (row,) = connection.execute(select(SQLModel.metadata.tables[name])).mappings().all()
            added = {"idempotency_key": None, "fingerprint": None} if revision == "0001" else {}
            assert {key: row[key] for key in ROWS[name]} == ROWS[name] | (added if name == "job" else {})
    store = JobStore(database, "here")
    await store.add_event("01a2", "later", {})
    assert [event.type for event in await store.events("01a2")] == ["job.succeeded", "later"]
    await database.close()


async def test_a_schema_that_a_newer_version_has_made_is_refused(database_url: str, engine: Engine) -> None:
    """Its rows may mean what this one does not know; nothing is changed."""
    database = Database(database_url)
    await database.migrate()
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseUnsuitable, match=f"its schema is 9999, the newest known here is {REVISIONS[-1]}") as no:
        await database.migrate()
    assert "Update kecs-state" in no.value.remedy
    await database.close()


async def test_sizes_and_ids_have_64_bits(database_url: str, engine: Engine) -> None:
    """PostgreSQL's plain integers end at 2 GiB, and its plain sequences with them."""
    database = Database(database_url)
    await database.migrate()
    write_rows(engine)
    events, backups = (SQLModel.metadata.tables[name] for name in ("job_event", "backup"))
    with engine.begin() as connection:
        connection.execute(events.update().values(id=2**31 - 1))
        connection.execute(backups.update().values(size_bytes=2**40))
        if engine.dialect.name == "postgresql":
            connection.execute(select(func.setval("job_event_id_seq", 2**31 - 1)))
    await JobStore(database, "here").add_event("01a2", "later", {})
    with engine.connect() as connection:
        assert connection.execute(select(func.max(events.c.id))).scalar() == 2**31
    await database.close()


async def test_figures_of_old_rows_are_those_that_would_have_been_counted(database_url: str, engine: Engine) -> None:
    """Counted by this version as they end, forgotten, and made anew of the rows: nobody sees a difference."""
    database = Database(database_url)
    await database.migrate()
    await write_history(database)
    counted = figures(engine)
    assert len(counted) == 20
    with engine.begin() as connection:
        connection.execute(SQLModel.metadata.tables["figure"].delete())
    command.downgrade(configuration(database_url), "0003")
    await database.migrate()
    assert figures(engine) == counted
    await database.close()


def figures(engine: Engine) -> dict[tuple[str, ...], tuple[int, Any, datetime]]:
    """Number, seconds and time of each figure."""
    with engine.connect() as connection:
        rows = connection.execute(select(SQLModel.metadata.tables["figure"])).mappings().all()
    return {
        (row["host"], row["instance"], row["name"], row["label"]): (
            row["count"], pytest.approx(row["seconds"]), row["last_at"],
        )
        for row in rows
    }  # fmt: skip


async def write_history(database: Database) -> None:
    """Jobs and backups of two hosts with every end that is counted."""
    restored = {"restored": {"backup": "b", "seconds": 2.5}}
    ends: list[tuple[str, JobStatus, Any, str | None]] = [
        ("stop", JobStatus.SUCCEEDED, {"noop": False}, None),
        ("stop", JobStatus.SUCCEEDED, {}, None),
        ("stop", JobStatus.SUCCEEDED, {"noop": True}, None),
        ("backup", JobStatus.FAILED, None, "proof-failed"),
        ("stop", JobStatus.CANCELLED, None, None),
        ("start", JobStatus.SUCCEEDED, restored, None),
        ("start", JobStatus.SUCCEEDED, {"restored": None}, None),
        ("restore", JobStatus.SUCCEEDED, restored, None),
        ("restore", JobStatus.FAILED, None, "restore-failed"),
        ("validate", JobStatus.FAILED, None, "restore-failed"),
    ]
    here, there = JobStore(database, "here"), JobStore(database, "there")
    for store, kind, status, result, code in [*((here, *end) for end in ends), (there, *ends[0])]:
        job = await store.create(kind, "demo", {}, AT)
        await store.begin_attempt(job.id)
        if result == {"restored": None}:
            await store.add_warning(job.id, {"code": "restore-failed", "detail": "it is gone on with"})
        await store.finish(job.id, status, result=result, error={"code": code} if code else None)
    await make_job(here)
    for name, changes in {
        "proven": {"proven_at": AT, "seconds": 3.0, "proof": {"verdict": "proven"}},
        "slow": {"proven_at": AT - timedelta(days=1), "seconds": 1000.0, "proof": None},
        "accepted": {"status": "accepted", "proven_at": None, "seconds": 4.0, "proof": {"verdict": "accepted"}},
        "back": {"status": "unproven", "proven_at": None, "seconds": -60.0, "proof": None},
        "unproven": {"status": "unproven", "proven_at": None, "seconds": None, "proof": None},
    }.items():
        await here.backups.save(BackupRecord(**ROWS["backup"] | {"name": name} | changes))


@pytest.mark.parametrize(("host", "left"), [("here", 0), ("there", 1)])
async def test_what_the_page_says_about_a_host_that_is_gone_deletes_its_rows_and_no_others(
    database_url: str, engine: Engine, host: str, left: int
) -> None:
    """Tokens are shared, and stay."""
    command.upgrade(configuration(database_url), "head")
    write_rows(engine)
    (block,) = re.findall(r"```sql\n(.*?)```", Path("docs/scale.md").read_text(), re.DOTALL)
    with engine.begin() as connection:
        for statement in block.replace("HOST", host).split(";\n")[:-1]:
            connection.exec_driver_sql(statement)
        counts = {
            name: connection.execute(select(func.count()).select_from(SQLModel.metadata.tables[name])).scalar()
            for name in ROWS
        }
    assert counts == {name: 1 if name == "token" else left for name in ROWS}
