"""Figures for people and for Prometheus: both from what was counted, so ``/stats`` and ``/metrics`` cannot disagree."""

import asyncio
from collections.abc import Iterable, Iterator
from datetime import datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from pydantic import BaseModel, Field

from app.jobs.counting import BEYOND
from app.jobs.figures import NEWEST, Figures, FigureStore, KeptBackup
from app.jobs.repository import JobStore

_AMONG = f"Seconds, among the newest {NEWEST} jobs (for backups: backups) that are recorded; null without any."


class Durations(BaseModel):
    """Wall-clock seconds of what succeeded."""

    count: int = Field(description="Of all there ever were.")
    median: float | None = Field(description=_AMONG)
    p95: float | None = Field(description=_AMONG)
    longest: float | None = Field(description=_AMONG)


class StatisticsView(BaseModel):
    """Figures of one of this host's instances, or of all. Numbers are of all there ever were, removed ones too."""

    jobs: dict[str, dict[str, int]] = Field(description="Number of ended jobs by type and status.")
    backups: dict[str, int] = Field(
        description="Backups by result: `proven`, `accepted` or `failed`; accepted and later proven counts as both."
    )
    restores: dict[str, int] = Field(description="Restores by result: `succeeded` or `failed`.")
    stop_seconds: Durations
    start_seconds: Durations
    backup_seconds: Durations
    restore_seconds: Durations
    storage_bytes: dict[str, int] = Field(description="Bytes of the backups kept, by instance.")
    last_proven_at: datetime | None


class Statistics:
    """Reads the figures whenever they are asked for."""

    def __init__(self, store: JobStore) -> None:
        self._database = store.database
        self._figures = FigureStore(store.database, store.host)
        #: The last text, and what is set once it is old.
        self._text: tuple[asyncio.Event, str] | None = None

    async def summary(self, instance: str | None = None) -> StatisticsView:
        """The figures of one instance, or of all."""
        figures = await self._figures.figures(instance)
        newest = await self._figures.newest_seconds(instance)
        durations = {
            f"{operation}_seconds": _durations(figures.buckets(operation)[BEYOND], seconds)
            for operation, seconds in newest.items()
        }
        return StatisticsView(
            jobs=figures.jobs(),
            backups=figures.backup_results(),
            restores=figures.restore_results(),
            storage_bytes=figures.storage_bytes(),
            last_proven_at=figures.last_proven_at(),
            **durations,
        )

    async def prometheus(self) -> str:
        """The metrics in Prometheus' text format, by the names of the ADR; the same text until something is written.

        Whoever scrapes asks several times a minute, mostly a service that does nothing.
        """
        if self._text is not None and not self._text[0].is_set():
            return self._text[1]
        next_write = self._database.next_write()
        registry = CollectorRegistry()
        registry.register(_Collector(await self._figures.figures(None)))
        self._text = next_write, generate_latest(registry).decode()
        return self._text[1]


def metric_families() -> list[Metric]:
    """Every metric by its name, type, labels and meaning, without values."""
    return list(_Collector(Figures([], [])).collect())


class _Collector:
    """Figures as metric families."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def collect(self) -> Iterator[Metric]:
        """Every metric."""
        figures = self._figures
        for name, text, results in (
            ("kecs_state_backup", "Backups by result", figures.backup_results()),
            ("kecs_state_restore", "Restores by result", figures.restore_results()),
        ):
            counter = CounterMetricFamily(name, text, labels=["result"])
            for result, count in results.items():
                counter.add_metric([result], count)
            yield counter
        for operation in ("backup", "restore", "stop", "start"):
            yield HistogramMetricFamily(
                f"kecs_state_{operation}_duration_seconds",
                f"Duration of a {operation}",
                buckets=[(limit, float(count)) for limit, count in figures.buckets(operation).items()],
                sum_value=figures.total_seconds(operation),
            )
        newest = GaugeMetricFamily("kecs_state_backup_size_bytes", "Size of the newest backup", labels=["instance"])
        for backup in _newest(figures.kept):
            newest.add_metric([backup.instance], backup.size_bytes or 0)
        yield newest
        storage = GaugeMetricFamily("kecs_state_storage_bytes", "Bytes of the backups kept", labels=["instance"])
        for instance, total in figures.storage_bytes().items():
            storage.add_metric([instance], total)
        yield storage


def _newest(kept: Iterable[KeptBackup]) -> list[KeptBackup]:
    newest: dict[str, KeptBackup] = {}
    for backup in kept:
        if backup.status == "proven" and (
            backup.instance not in newest or newest[backup.instance].created_at < backup.created_at
        ):
            newest[backup.instance] = backup
    return list(newest.values())


def _durations(count: int, seconds: list[float]) -> Durations:
    ordered = sorted(seconds)
    if not ordered:
        return Durations(count=count, median=None, p95=None, longest=None)
    return Durations(
        count=count,
        median=round(ordered[len(ordered) // 2], 3),
        p95=round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 3),
        longest=round(ordered[-1], 3),
    )
