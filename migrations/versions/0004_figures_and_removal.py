"""Figures that outlive the rows they were counted from, and indexes by which old rows are found"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

ENDED_SQL = "status IN ('succeeded', 'failed', 'cancelled')"
#: Table and columns, and of which rows.
INDEXES = {
    "job_ended": ("job", ("host", "id"), ENDED_SQL),
    "job_ended_by_instance": ("job", ("host", "instance", "id"), ENDED_SQL),
    "backup_by_host": ("backup", ("host", "created_at"), None),
    "backup_by_instance": ("backup", ("host", "instance", "created_at", "name"), None),
    "backup_kept": ("backup", ("host", "instance", "created_at", "name"), "status <> 'deleted'"),
    "audit_event_by_host": ("audit_event", ("host", "id"), None),
    "webhook_delivery_by_host": ("webhook_delivery", ("host", "id"), None),
}
BUCKETS_SECONDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)

#: The tables as they were before this, as far as it reads them.
JOB = sa.table(
    "job",
    *(sa.column(name, sa.String()) for name in ("host", "instance", "type", "status")),
    *(sa.column(name, sa.DateTime(timezone=True)) for name in ("started_at", "finished_at")),
    *(sa.column(name, sa.JSON()) for name in ("result", "error", "warnings")),
).c
BACKUP = sa.table(
    "backup",
    *(sa.column(name, sa.String()) for name in ("host", "instance")),
    *(sa.column(name, sa.DateTime(timezone=True)) for name in ("created_at", "proven_at")),
    sa.column("seconds", sa.Float()),
    sa.column("proof", sa.JSON()),
).c
#: Host, instance, name, label, number, seconds, and when it was last so.
Count = tuple[str, str, str, str, int, float, datetime]


def upgrade() -> None:
    figure = op.create_table(
        "figure",
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("instance", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("label", sa.String(), nullable=False),
        sa.Column("count", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("last_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("host", "instance", "name", "label"),
    )
    for name, (table, columns, condition) in INDEXES.items():
        where = sa.text(condition) if condition else None
        op.create_index(name, table, columns, sqlite_where=where, postgresql_where=where)
    counted = _totals()
    if counted:
        op.bulk_insert(figure, counted)


def downgrade() -> None:
    for name, (table, _columns, _condition) in INDEXES.items():
        op.drop_index(name, table)
    op.drop_table("figure")


def _totals() -> list[dict[str, Any]]:
    """What the service would have counted, had it counted from the beginning."""
    totals: dict[tuple[str, str, str, str], dict[str, Any]] = {}
    for *key, number, seconds, at in _counts():
        host, instance, name, label = key
        new = {"host": host, "instance": instance, "name": name, "label": label, "count": 0, "seconds": 0.0}
        total = totals.setdefault((host, instance, name, label), new | {"last_at": at})
        total["count"] += number
        total["seconds"] += seconds
        total["last_at"] = max(total["last_at"], at)
    return list(totals.values())


def _counts() -> Iterator[Count]:
    yield from _of_ended_jobs()
    yield from _of_durations()
    yield from _of_restores()
    yield from _of_backups()


def _of_ended_jobs() -> Iterator[Count]:
    group = (JOB.host, JOB.instance, JOB.type, JOB.status)
    query = sa.select(*group, sa.func.count(), sa.func.max(JOB.finished_at)).where(sa.text(ENDED_SQL))
    for host, instance, kind, status, number, at in _rows(query.where(JOB.finished_at.is_not(None)).group_by(*group)):
        yield host, instance, f"jobs.{kind}", status, number, 0.0, at
        if kind in {"stop", "backup"} and status == "failed":
            yield host, instance, "backups", "failed", number, 0.0, at


def _of_durations() -> Iterator[Count]:
    """Of stops and starts that did something."""
    columns = (JOB.host, JOB.instance, JOB.type, JOB.started_at, JOB.finished_at, JOB.result["noop"].as_boolean())
    query = sa.select(*columns).where(
        JOB.status == "succeeded",
        JOB.type.in_(("stop", "start")),
        JOB.started_at.is_not(None),
        JOB.finished_at.is_not(None),
    )
    for host, instance, kind, started_at, finished_at, noop in _rows(query):
        if not noop:
            yield _duration(host, instance, kind, (finished_at - started_at).total_seconds(), finished_at)


def _of_restores() -> Iterator[Count]:
    """A failure that led to a warning only is one all the same."""
    query = sa.select(
        JOB.host,
        JOB.instance,
        JOB.finished_at,
        JOB.result["restored", "backup"].as_string(),
        JOB.result["restored", "seconds"].as_float(),
        JOB.error["code"].as_string(),
        JOB.warnings,
    ).where(sa.text(ENDED_SQL), JOB.type.in_(("start", "restore")), JOB.finished_at.is_not(None))
    for host, instance, at, backup, seconds, error, warnings in _rows(query):
        if backup is not None:
            yield host, instance, "restores", "succeeded", 1, 0.0, at
        if seconds is not None:
            yield _duration(host, instance, "restore", seconds, at)
        if "restore-failed" in {error, *(warning["code"] for warning in warnings)}:
            yield host, instance, "restores", "failed", 1, 0.0, at


def _of_backups() -> Iterator[Count]:
    columns = (BACKUP.host, BACKUP.instance, BACKUP.created_at, BACKUP.proven_at, BACKUP.seconds)
    for host, instance, created_at, proven_at, seconds, verdict in _rows(
        sa.select(*columns, BACKUP.proof["verdict"].as_string())
    ):
        at = proven_at or created_at
        if proven_at is not None:
            yield host, instance, "backups", "proven", 1, 0.0, at
        if verdict == "accepted":
            yield host, instance, "backups", "accepted", 1, 0.0, at
        if seconds is not None:
            yield _duration(host, instance, "backup", seconds, at)


def _duration(host: str, instance: str, operation: str, seconds: float, at: datetime) -> Count:
    seconds = max(seconds, 0.0)  # a clock may have been set back
    limit = next((str(limit) for limit in BUCKETS_SECONDS if seconds <= limit), "+Inf")
    return host, instance, f"{operation}_seconds", limit, 1, seconds, at


def _rows(query: sa.Select[Any]) -> sa.Result[Any]:
    """A few at a time: a long history does not fit into memory."""
    return op.get_bind().execute(query.execution_options(yield_per=1000))
