"""What statistics read: what was counted, the backups that are kept, and of the newest rows their durations.

None of it takes longer with a longer history. Measured with 50,000 jobs: docs/scale.md.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, text
from sqlmodel import Session, SQLModel

from app.db import Database
from app.jobs.counting import BACKUP_RESULTS, BEYOND, BUCKETS_SECONDS, RESTORE_RESULTS, RESTORING, TIMED
from app.jobs.models import KEPT_SQL, BackupRecord, Figure, Job
from app.jobs.states import ENDED_SQL, JobStatus
from app.queries import reads

_JOB, _BACKUP, _FIGURE = (SQLModel.metadata.tables[model.__tablename__].c for model in (Job, BackupRecord, Figure))
#: How far back durations look, in jobs and in backups: what something takes now, and not what it took years ago.
NEWEST = 1000


@dataclass(frozen=True)
class Counted:
    """One figure, of all instances that were asked for."""

    name: str
    label: str
    count: int
    seconds: float
    last_at: datetime


@dataclass(frozen=True)
class KeptBackup:
    """A backup that is not deleted."""

    instance: str
    status: str
    size_bytes: int | None
    created_at: datetime


@dataclass(frozen=True)
class Figures:
    """The figures of one host, or of one of its instances."""

    counted: Sequence[Counted]
    kept: Sequence[KeptBackup]

    def jobs(self) -> dict[str, dict[str, int]]:
        """Ended jobs by type and status."""
        counts: dict[str, dict[str, int]] = {}
        for figure in self.counted:
            group, _, kind = figure.name.partition(".")
            if group == "jobs":
                counts.setdefault(kind, {})[figure.label] = figure.count
        return counts

    def backup_results(self) -> dict[str, int]:
        """Backups by result. A failed job that was to make one counts as one failure."""
        return self._by_label("backups", BACKUP_RESULTS)

    def restore_results(self) -> dict[str, int]:
        """Restores by result."""
        return self._by_label("restores", RESTORE_RESULTS)

    def buckets(self, operation: str) -> dict[str, int]:
        """How many took no longer than each limit: cumulative, as Prometheus wants them."""
        in_bucket = self._by_label(f"{operation}_seconds", (*map(str, BUCKETS_SECONDS), BEYOND))
        total = 0
        return {limit: (total := total + count) for limit, count in in_bucket.items()}

    def total_seconds(self, operation: str) -> float:
        """Of all that were counted."""
        return sum(figure.seconds for figure in self.counted if figure.name == f"{operation}_seconds")

    def last_proven_at(self) -> datetime | None:
        """When a backup was last proven, be it kept or not."""
        proven = (figure.last_at for figure in self.counted if (figure.name, figure.label) == ("backups", "proven"))
        return max(proven, default=None)

    def storage_bytes(self) -> dict[str, int]:
        """Bytes of the backups that are kept, by instance."""
        totals: dict[str, int] = {}
        for backup in self.kept:
            totals[backup.instance] = totals.get(backup.instance, 0) + (backup.size_bytes or 0)
        return totals

    def _by_label(self, name: str, labels: Sequence[str]) -> dict[str, int]:
        counts = {figure.label: figure.count for figure in self.counted if figure.name == name}
        return {label: counts.get(label, 0) for label in labels}


class FigureStore:
    """Reads the figures of one host."""

    def __init__(self, database: Database, host: str) -> None:
        self.database = database
        self.host = host

    @reads
    def figures(self, session: Session, instance: str | None) -> Figures:
        """What was counted, and the backups that are kept."""
        counted = select(
            _FIGURE.name, _FIGURE.label, func.sum(_FIGURE.count), func.sum(_FIGURE.seconds), func.max(_FIGURE.last_at)
        ).group_by(_FIGURE.name, _FIGURE.label)
        # In these words a planner knows the partial index again, as below.
        kept = select(_BACKUP.instance, _BACKUP.status, _BACKUP.size_bytes, _BACKUP.created_at).where(text(KEPT_SQL))
        return Figures(
            counted=[
                Counted(name, label, int(count), seconds, last_at)
                for name, label, count, seconds, last_at in session.execute(self._own(counted, _FIGURE, instance))
            ],
            kept=[KeptBackup(*row) for row in session.execute(self._own(kept, _BACKUP, instance))],
        )

    @reads
    def newest_seconds(self, session: Session, instance: str | None) -> dict[str, list[float]]:
        """How long the newest stops, starts, backups and restores took that succeeded and did something."""
        jobs = (
            select(
                _JOB.type,
                _JOB.status,
                _JOB.started_at,
                _JOB.finished_at,
                _JOB.result["noop"].as_boolean(),
                _JOB.result["restored", "seconds"].as_float(),
            )
            .where(text(ENDED_SQL))
            .order_by(_JOB.id.desc())
        )
        backups = select(_BACKUP.seconds).order_by(_BACKUP.created_at.desc())
        found: dict[str, list[float]] = {"stop": [], "start": [], "backup": [], "restore": []}
        for kind, status, started_at, finished_at, noop, restored in self._newest(session, jobs, _JOB, instance):
            if kind in TIMED and status == JobStatus.SUCCEEDED and started_at is not None and not noop:
                found[kind].append((finished_at - started_at).total_seconds())
            if kind in RESTORING and restored is not None:
                found["restore"].append(restored)
        rows = self._newest(session, backups, _BACKUP, instance)
        found["backup"] = [seconds for (seconds,) in rows if seconds is not None]
        return found

    def _newest(self, session: Session, query: Select[Any], table: Any, instance: str | None) -> Iterable[Any]:
        """Row by row: a thousand at once would be half a megabyte for each who asks."""
        return session.execute(self._own(query, table, instance).limit(NEWEST))

    def _own(self, query: Select[Any], table: Any, instance: str | None) -> Select[Any]:
        query = query.where(table.host == self.host)
        return query if instance is None else query.where(table.instance == instance)
