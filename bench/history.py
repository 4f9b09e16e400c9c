"""A long history, row for row the same in each database: what many hosts would have made in years."""

import json
import random
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg

COLUMNS = (
    "id", "type", "instance", "host", "status", "request", "labels", "result", "error", "warnings", "attempt", "backup",
    "created_at", "started_at", "finished_at", "deadline_at",
)  # fmt: skip
HOSTS = [f"host-{number:02}" for number in range(20)]
#: One name that everybody uses, as people do, has a tenth of all jobs.
INSTANCES = ["demo", *(f"instance-{number:03}" for number in range(199))]
TYPES = {"stop": 450, "start": 450, "backup": 70, "restore": 15, "validate": 14, "migrate": 1}
STATUSES = {"succeeded": 960, "failed": 30, "cancelled": 10}
BEGAN = datetime(2020, 1, 1, tzinfo=UTC)
#: As a stop of the sandbox's seeded instance has them: one step gives back a long list, the others little.
STEPS, LONG_BYTES, SHORT_BYTES, EVENTS = 15, 19_500, 500, 41

Row = tuple[Any, ...]


def jobs(count: int) -> Iterator[Row]:
    """Ended jobs, oldest first, a minute apart; a stop has the recorded example's result."""
    chance = random.Random(20261125)  # noqa: S311 - the same rows each time
    example = json.loads(Path("app/api/examples.json").read_text())["GET /jobs/{job_id}"]["response"]
    stopped, error = json.dumps(example["result"]), json.dumps({"code": "proof-failed", "detail": "2 objects absent"})
    for number in range(count):
        at = BEGAN + timedelta(minutes=number)
        kind = chance.choices([*TYPES], [*TYPES.values()])[0]
        status = chance.choices([*STATUSES], [*STATUSES.values()])[0]
        instance = "demo" if chance.random() < 0.1 else chance.choice(INSTANCES)
        result = (stopped if kind == "stop" else "{}") if status == "succeeded" else None
        yield (
            job_id(at, number), kind, instance, chance.choice(HOSTS), status, '{"labels": {"by": "cli"}}', "{}", result,
            error if status == "failed" else None, "[]", 1, "stop-backup-demo-20261125083610", at,
            at, at + timedelta(seconds=9), at + timedelta(seconds=900),
        )  # fmt: skip


def job_id(at: datetime, number: int) -> str:
    """A UUIDv7 of that time."""
    milliseconds = f"{int(at.timestamp() * 1000):012x}"
    return f"{milliseconds[:8]}-{milliseconds[8:]}-7000-8000-{number:012x}"


def steps_and_events(of_jobs: list[str]) -> tuple[list[Row], list[Row]]:
    """What the journal of each of these jobs holds."""
    chance = random.Random(7)  # noqa: S311 - the same rows each time
    uids = json.dumps([{"kind": "ConfigMap", "uid": f"{chance.getrandbits(128):032x}"} for _ in range(400)])
    data = json.dumps({"step": "create-backup", "seconds": 0.123})
    steps = [
        (job, f"step-{key}", "succeeded", json.dumps(uids[: SHORT_BYTES if key else LONG_BYTES]), BEGAN, BEGAN)
        for job in of_jobs
        for key in range(STEPS)
    ]
    events = [(job, BEGAN, "step.succeeded", data) for job in of_jobs for _ in range(EVENTS)]
    return steps, events


#: The tables that are filled, with their columns.
TABLES = {
    "job": COLUMNS,
    "job_step": ("job_id", "key", "status", "result", "started_at", "finished_at"),
    "job_event": ("job_id", "at", "type", "data"),
}


def fill_postgres(url: str, table: str, rows: Iterator[Row]) -> None:
    """By COPY."""
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        copying = f"COPY {table} ({', '.join(TABLES[table])}) FROM STDIN".encode()
        with connection.cursor().copy(copying) as copy:
            for row in rows:
                copy.write_row(row)


def fill_sqlite(path: Path, table: str, rows: Iterator[Row]) -> None:
    """In one transaction."""
    columns = TABLES[table]
    statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608
    database = sqlite3.connect(path)
    database.executemany(statement, ([f"{v:%F %T.%f}" if isinstance(v, datetime) else v for v in row] for row in rows))
    database.commit()
    database.close()


def sqlite_bytes(path: Path) -> int:
    """Of the file, with everything in it."""
    database = sqlite3.connect(path)
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()
    return path.stat().st_size
