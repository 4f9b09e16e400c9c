"""Figures, counted in the transaction in which something ends: never twice, never lost, and they stay when its rows go.

Prometheus takes a counter that falls for one that began anew, so none of them ever falls.
"""

from collections.abc import Iterator
from datetime import datetime

from sqlmodel import Session

from app.jobs.models import BackupRecord, Figure, Job
from app.jobs.states import JobStatus

#: Upper limits of the histograms' buckets. They are in the table: other ones need a migration.
BUCKETS_SECONDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)
BEYOND = "+Inf"
BACKUP_RESULTS = ("proven", "accepted", "failed")
RESTORE_RESULTS = ("succeeded", "failed")
#: Jobs are counted by type; restores happen in two of them, and two make a backup.
RESTORING = frozenset({"start", "restore"})
BACKING_UP = frozenset({"stop", "backup"})
TIMED = frozenset({"stop", "start"})
RESTORE_FAILED = "restore-failed"


def count_end(session: Session, job: Job) -> None:
    """Count a job in the transaction that ends it."""
    assert job.finished_at is not None  # noqa: S101 - the caller has just set it
    figures = _Figures(session, job.host, job.instance, job.finished_at)
    figures.add(f"jobs.{job.type}", job.status)
    if job.type in BACKING_UP and job.status == JobStatus.FAILED:
        figures.add("backups", "failed")
    if job.type in RESTORING:
        _count_restore(figures, job)
    result = job.result or {}
    if (
        job.type in TIMED
        and job.status == JobStatus.SUCCEEDED
        and not result.get("noop")
        and job.started_at is not None
    ):
        figures.add_seconds(job.type, (job.finished_at - job.started_at).total_seconds())


def count_backup(session: Session, before: BackupRecord | None, record: BackupRecord) -> None:
    """Count what a backup has become that it was not ``before``, in the transaction that says so."""
    figures = _Figures(session, record.host, record.instance, record.proven_at or record.created_at)
    was = set(_results_of(before))
    for result in _results_of(record):
        if result not in was:
            figures.add("backups", result)
    if record.seconds is not None and (before is None or before.seconds is None):
        figures.add_seconds("backup", record.seconds)


def _count_restore(figures: "_Figures", job: Job) -> None:
    """Where a failed restore led to a warning only, it has failed all the same."""
    restored = (job.result or {}).get("restored")
    if restored is not None:
        figures.add("restores", "succeeded")
        figures.add_seconds("restore", restored["seconds"])
    codes = [(job.error or {}).get("code"), *(warning["code"] for warning in job.warnings)]
    if RESTORE_FAILED in codes:
        figures.add("restores", "failed")


def _results_of(record: BackupRecord | None) -> Iterator[str]:
    """A damaged or deleted backup has been what it was."""
    if record is not None and record.proven_at is not None:
        yield "proven"
    if record is not None and (record.proof or {}).get("verdict") == "accepted":
        yield "accepted"


class _Figures:
    """The figures of one instance, to be added to; only one transaction writes at a time, so none is lost."""

    def __init__(self, session: Session, host: str, instance: str, at: datetime) -> None:
        self._session, self._host, self._instance, self._at = session, host, instance, at

    def add(self, name: str, label: str, seconds: float = 0.0) -> None:
        """One more."""
        figure = self._session.get(Figure, (self._host, self._instance, name, label))
        if figure is None:
            figure = Figure(host=self._host, instance=self._instance, name=name, label=label, last_at=self._at)
            self._session.add(figure)
        figure.count += 1
        figure.seconds += seconds
        figure.last_at = max(figure.last_at, self._at)

    def add_seconds(self, operation: str, seconds: float) -> None:
        """One more in the bucket of its histogram; a clock that was set back makes no total fall."""
        seconds = max(seconds, 0.0)
        limit = next((str(limit) for limit in BUCKETS_SECONDS if seconds <= limit), BEYOND)
        self.add(f"{operation}_seconds", limit, seconds)
