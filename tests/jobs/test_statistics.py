"""Figures counted when something ends, and what is made of them."""

from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.db import Database
from app.jobs import figures
from app.jobs.figures import FigureStore
from app.jobs.models import BackupRecord
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.jobs.statistics import Statistics
from app.queries import now
from tests.databases import ON_BOTH_DATABASES
from tests.jobs.conftest import make_job

pytestmark = ON_BOTH_DATABASES


async def stop(store: JobStore, status: JobStatus = JobStatus.SUCCEEDED, instance: str = "demo") -> None:
    """A stop that has ended."""
    job = await make_job(store, instance=instance)
    await store.begin_attempt(job.id)
    await store.finish(job.id, status, result={}, error={"code": "proof-failed"} if status == "failed" else None)


async def back_up(store: JobStore, name: str, size_bytes: int, seconds: float, instance: str = "demo") -> None:
    """A proven backup."""
    at = now() + timedelta(seconds=seconds)
    await store.backups.save(
        BackupRecord(
            host=store.host, instance=instance, name=name, instance_id="i", scope="full", status="proven",
            size_bytes=size_bytes, seconds=seconds, created_at=at, proven_at=at,
        )
    )  # fmt: skip


async def samples(store: JobStore) -> dict[str, float]:
    """What a Prometheus server would read, by the sample's name and labels."""
    families = text_string_to_metric_families(await Statistics(store).prometheus())
    return {
        sample.name + "".join(f"{{{key}={value}}}" for key, value in sorted(sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


async def test_an_empty_history_has_figures_too(store: JobStore) -> None:
    """Nothing divides by zero."""
    summary = await Statistics(store).summary()
    assert (summary.backups, summary.stop_seconds.median) == ({"proven": 0, "accepted": 0, "failed": 0}, None)


async def test_jobs_are_counted_by_type_and_status(store: JobStore) -> None:
    """Success rates follow from them."""
    await stop(store)
    await stop(store)
    await stop(store, JobStatus.FAILED)
    summary = await Statistics(store).summary()
    assert summary.jobs == {"stop": {"succeeded": 2, "failed": 1}}
    assert summary.backups["failed"] == 1


async def test_durations_have_a_median_and_a_tail(store: JobStore) -> None:
    """Of the backups that were proven."""
    for seconds in (1.0, 2.0, 3.0, 40.0):
        await back_up(store, f"b{seconds}", 10, seconds)
    durations = (await Statistics(store).summary()).backup_seconds
    assert (durations.count, durations.longest) == (4, 40.0)
    assert durations.median in {2.0, 3.0}


async def ended(store: JobStore, kind: str, result: Any, *warnings: str, code: str = "") -> None:
    """A job that has ended, as a failure if a code is given."""
    job = await make_job(store, kind)
    await store.begin_attempt(job.id)
    for warning in warnings:
        await store.add_warning(job.id, {"code": warning, "detail": "restore-failed"})
    status = JobStatus.FAILED if code else JobStatus.SUCCEEDED
    await store.finish(job.id, status, result=result, error={"code": code} if code else None)


async def test_a_job_that_had_nothing_to_do_took_no_time(store: JobStore) -> None:
    """It would make stops look faster than they are."""
    await ended(store, "stop", {"noop": True})
    await ended(store, "stop", {"noop": False})
    assert (await Statistics(store).summary()).stop_seconds.count == 1


async def test_restores_are_counted_by_what_became_of_them(store: JobStore) -> None:
    """Starts restore too; a failure that was only a warning is one, and a warning about something else is none."""
    await ended(store, "restore", {"restored": {"backup": "b", "seconds": 2.5}})
    await ended(store, "start", {"restored": {"backup": "b", "seconds": 4.5}}, "workloads-not-ready")
    await ended(store, "start", {"restored": None}, "restore-failed")
    await ended(store, "restore", None, code="restore-failed")
    await ended(store, "start", None, code="power-failed")
    await ended(store, "backup", {"restored": {"backup": "b", "seconds": 9}})
    summary = await Statistics(store).summary()
    assert summary.restores == {"succeeded": 2, "failed": 2}
    assert (summary.restore_seconds.count, summary.restore_seconds.longest) == (2, 4.5)


async def test_an_instance_has_figures_of_its_own(store: JobStore) -> None:
    """Others do not count."""
    await stop(store)
    await back_up(store, "other", 7, 1, instance="other")
    summary = await Statistics(store).summary("other")
    assert (summary.jobs, summary.storage_bytes) == ({}, {"other": 7})


async def test_a_deleted_backup_takes_no_space(store: JobStore) -> None:
    """But it remains in the counts of what was proven."""
    await back_up(store, "old", 10, 1)
    await back_up(store, "new", 20, 2)
    await store.backups.mark_deleted("demo", "old")
    summary = await Statistics(store).summary()
    assert (summary.storage_bytes, summary.backups["proven"]) == ({"demo": 20}, 2)


async def test_the_metrics_have_the_promised_names(store: JobStore) -> None:
    """Dashboards depend on them."""
    await stop(store)
    await back_up(store, "b", 10, 4.0)
    read = await samples(store)
    assert read["kecs_state_backup_total{result=proven}"] == 1
    assert read["kecs_state_restore_total{result=succeeded}"] == 0
    assert read["kecs_state_backup_size_bytes{instance=demo}"] == 10
    assert read["kecs_state_storage_bytes{instance=demo}"] == 10
    for operation in ("backup", "restore", "stop", "start"):
        assert f"kecs_state_{operation}_duration_seconds_count" in read


async def test_who_scrapes_an_idle_service_costs_it_nothing(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows are read once, and anew after a write."""
    await stop(store)
    statistics = Statistics(store)
    before = await statistics.prometheus()
    monkeypatch.setattr(FigureStore, "figures", None)
    assert await statistics.prometheus() == before
    monkeypatch.undo()
    await stop(store)
    assert "kecs_state_stop_duration_seconds_count 2.0" in await statistics.prometheus()


async def test_histograms_are_cumulative(store: JobStore) -> None:
    """As Prometheus wants them."""
    await back_up(store, "quick", 10, 2.0)
    await back_up(store, "slow", 10, 2000.0)
    read = await samples(store)
    name = "kecs_state_backup_duration_seconds"
    assert read[f"{name}_bucket{{le=2.5}}"] == 1
    assert read[f"{name}_bucket{{le=900.0}}"] == 1
    assert read[f"{name}_bucket{{le=+Inf}}"] == read[f"{name}_count"] == 2
    assert read[f"{name}_sum"] == 2002


async def test_a_clock_that_is_set_back_makes_no_total_fall(store: JobStore) -> None:
    """Prometheus would take that for a restart."""
    await back_up(store, "b", 10, 2.0)
    await back_up(store, "back in time", 10, -3600.0)
    read = await samples(store)
    name = "kecs_state_backup_duration_seconds"
    assert (read[f"{name}_sum"], read[f"{name}_count"], read[f"{name}_bucket{{le=1.0}}"]) == (2, 2, 1)


async def test_another_hosts_jobs_are_counted_there(store: JobStore, database: Database) -> None:
    """Services that share a history would count them once each."""
    there = JobStore(database, "there")
    await stop(there)
    await back_up(there, "b", 10, 1.0)
    summary = await Statistics(store).summary()
    assert (summary.jobs, summary.storage_bytes) == ({}, {})
    assert (await Statistics(there).summary()).storage_bytes == {"demo": 10}


async def test_the_figures_survive_a_restart(store: JobStore, database: Database, database_url: str) -> None:
    """They lie in the database and nowhere else."""
    await stop(store)
    before = await samples(store)
    await database.close()
    reopened = Database(database_url)
    assert await samples(JobStore(reopened, "here")) == before
    await reopened.close()


def accepted(store: JobStore, name: str, status: str = "accepted") -> BackupRecord:
    """A backup that was only looked at."""
    return BackupRecord(
        host=store.host, instance="demo", name=name, instance_id="i", scope="full", status=status, created_at=now(),
        seconds=3.0, proof={"verdict": "accepted"},
    )  # fmt: skip


async def test_an_accepted_backup_is_none_that_was_proven(store: JobStore) -> None:
    """Still so when it is deleted: its proof says what it was."""
    for name, status in (("one", "accepted"), ("two", "deleted")):
        await store.backups.save(accepted(store, name, status))
    found = await samples(store)
    assert found["kecs_state_backup_total{result=accepted}"] == 2
    assert found["kecs_state_backup_total{result=proven}"] == 0


async def test_a_job_that_ends_twice_is_counted_once(store: JobStore) -> None:
    """As when a process writes the end, is killed before it hears of it, and the next one tries again."""
    job = await make_job(store)
    await store.begin_attempt(job.id)
    for status in (JobStatus.FAILED, JobStatus.SUCCEEDED, JobStatus.FAILED):
        await store.finish(job.id, status, error={"code": "proof-failed"})
    summary = await Statistics(store).summary()
    assert (summary.jobs, summary.backups["failed"]) == ({"stop": {"failed": 1}}, 1)
    assert summary.stop_seconds.count == 0


async def test_an_end_that_is_not_written_is_not_counted(database: Database) -> None:
    """Both are one transaction; the job is taken up again and counted when it has ended."""
    troubles = [RuntimeError("the disk is full")]

    def tell(_session: Any, event: str, *_rest: Any) -> None:
        if troubles and event == "job.succeeded":
            raise troubles.pop()

    store = JobStore(database, "here", tell)
    job = await make_job(store)
    with pytest.raises(RuntimeError):
        await store.finish(job.id, JobStatus.SUCCEEDED, result={})
    assert (await Statistics(store).summary()).jobs == {}
    await store.finish(job.id, JobStatus.SUCCEEDED, result={})
    assert (await Statistics(store).summary()).jobs == {"stop": {"succeeded": 1}}


async def test_a_backup_is_counted_when_it_becomes_something_and_only_then(store: JobStore) -> None:
    """A step that runs again saves it again; damage found later does not make it one that never was proven."""
    record = accepted(store, "b")
    for _ in range(2):
        await store.backups.save(record.model_copy())
    for status in ("proven", "proven", "unproven"):
        await store.backups.save(record.model_copy(update={"status": status, "proven_at": now()}))
    await store.backups.mark_deleted("demo", "b")
    found = await samples(store)
    assert found["kecs_state_backup_total{result=accepted}"] == found["kecs_state_backup_total{result=proven}"] == 1
    assert found["kecs_state_backup_duration_seconds_count"] == 1


async def test_the_last_proof_is_known_though_its_backup_is_gone(store: JobStore) -> None:
    """Backups of a lost database may come back in any order."""
    for name, seconds in (("old", -100), ("new", 0), ("older", -200)):
        await back_up(store, name, 10, seconds)
    (newest,) = [record.proven_at for record in await store.backups.kept("demo") if record.name == "new"]
    await store.backups.mark_deleted("demo", "new")
    assert (await Statistics(store).summary()).last_proven_at == newest


async def test_durations_are_of_the_newest(store: JobStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two here, of jobs and of backups; how many there were is of all."""
    monkeypatch.setattr(figures, "NEWEST", 2)
    for seconds in (900.0, 2.0, 3.0):
        await ended(store, "restore", {"restored": {"backup": "b", "seconds": seconds}})
    for name, seconds in (("first", 1.0), ("second", 2.0), ("third", 3.0)):
        await back_up(store, name, 10, seconds)
    for instance in (None, "demo"):
        summary = await Statistics(store).summary(instance)
        for durations in (summary.restore_seconds, summary.backup_seconds):
            assert (durations.count, durations.median, durations.longest) == (3, 3.0, 3.0)
