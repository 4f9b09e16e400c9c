"""Figures from the rows: they survive a restart, and ``/stats`` and ``/metrics`` can never disagree."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from pydantic import BaseModel, Field

from app.jobs.repository import JobStore
from app.jobs.rows import RecordedBackup, Rows, RowStore

BUCKETS_SECONDS = (1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0)


class Durations(BaseModel):
    """Wall-clock seconds of what succeeded."""

    count: int
    median: float | None = Field(description="Seconds; null without any.")
    p95: float | None = Field(description="Seconds; null without any.")
    longest: float | None = Field(description="Seconds; null without any.")


class StatisticsView(BaseModel):
    """Figures of one of this host's instances, or of all."""

    jobs: dict[str, dict[str, int]] = Field(description="Number of jobs by type and status.")
    backups: dict[str, int] = Field(description="Backups by result: `proven`, `accepted` or `failed`.")
    restores: dict[str, int] = Field(description="Restores by result: `succeeded` or `failed`.")
    stop_seconds: Durations
    start_seconds: Durations
    backup_seconds: Durations
    restore_seconds: Durations
    storage_bytes: dict[str, int] = Field(description="Bytes of the backups kept, by instance.")
    last_proven_at: datetime | None


class Statistics:
    """Computes figures whenever they are asked for."""

    def __init__(self, store: JobStore) -> None:
        self._database = store.database
        self._history = RowStore(store.database, store.host)
        #: The last text, and what is set once it is old.
        self._text: tuple[asyncio.Event, str] | None = None

    async def summary(self, instance: str | None = None) -> StatisticsView:
        """The figures of one instance, or of all."""
        rows = await self._history.rows(instance)
        counts: dict[str, dict[str, int]] = {}
        for job in rows.jobs:
            by_status = counts.setdefault(job.type, {})
            by_status[job.status] = by_status.get(job.status, 0) + 1
        proven = [record.proven_at for record in rows.backups if record.proven_at is not None]
        return StatisticsView(
            jobs=counts,
            backups=rows.backup_results(),
            restores=rows.restore_results(),
            stop_seconds=_durations(rows.seconds_of("stop")),
            start_seconds=_durations(rows.seconds_of("start")),
            backup_seconds=_durations(rows.backup_seconds()),
            restore_seconds=_durations(rows.restore_seconds()),
            storage_bytes=rows.storage_bytes(),
            last_proven_at=max(proven, default=None),
        )

    async def prometheus(self) -> str:
        """The metrics in Prometheus' text format, by the names of the ADR; the same text until something is written.

        Whoever scrapes asks several times a minute, mostly a service that does nothing.
        """
        if self._text is not None and not self._text[0].is_set():
            return self._text[1]
        next_write = self._database.next_write()
        registry = CollectorRegistry()
        registry.register(_Collector(await self._history.rows(None)))
        self._text = next_write, generate_latest(registry).decode()
        return self._text[1]


def metric_families() -> list[Metric]:
    """Every metric by its name, type, labels and meaning, without values."""
    return list(_Collector(Rows([], [], [])).collect())


class _Collector:
    """Rows as metric families."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        rows = self._rows
        for name, text, results in (
            ("kecs_state_backup", "Backups by result", rows.backup_results()),
            ("kecs_state_restore", "Restores by result", rows.restore_results()),
        ):
            counter = CounterMetricFamily(name, text, labels=["result"])
            for result, count in results.items():
                counter.add_metric([result], count)
            yield counter
        for operation, seconds in (
            ("backup", rows.backup_seconds()),
            ("restore", rows.restore_seconds()),
            ("stop", rows.seconds_of("stop")),
            ("start", rows.seconds_of("start")),
        ):
            yield _histogram(f"kecs_state_{operation}_duration_seconds", f"Duration of a {operation}", seconds)
        newest = GaugeMetricFamily("kecs_state_backup_size_bytes", "Size of the newest backup", labels=["instance"])
        for record in _newest(rows.backups):
            newest.add_metric([record.instance], record.size_bytes or 0)
        yield newest
        storage = GaugeMetricFamily("kecs_state_storage_bytes", "Bytes of the backups kept", labels=["instance"])
        for instance, total in rows.storage_bytes().items():
            storage.add_metric([instance], total)
        yield storage


def _newest(backups: Iterable[RecordedBackup]) -> list[RecordedBackup]:
    newest: dict[str, RecordedBackup] = {}
    for record in backups:
        if record.status == "proven" and (
            record.instance not in newest or newest[record.instance].created_at < record.created_at
        ):
            newest[record.instance] = record
    return list(newest.values())


def _histogram(name: str, text: str, seconds: list[float]) -> HistogramMetricFamily:
    buckets = [(str(limit), float(sum(value <= limit for value in seconds))) for limit in BUCKETS_SECONDS]
    buckets.append(("+Inf", float(len(seconds))))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=sum(seconds))


def _durations(seconds: list[float]) -> Durations:
    ordered = sorted(seconds)
    if not ordered:
        return Durations(count=0, median=None, p95=None, longest=None)
    return Durations(
        count=len(ordered),
        median=round(ordered[len(ordered) // 2], 3),
        p95=round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 3),
        longest=round(ordered[-1], 3),
    )
