"""What is read often or by anybody is found in an index, however long the history (docs/scale.md)."""

from typing import Any

import pytest
from sqlalchemy import event

from app.db import Database
from app.history.store import HistoryStore
from app.jobs.repository import JobStore
from app.jobs.statistics import Statistics
from app.queries import now


class Plans:
    """How SQLite goes about each query, by its own words; without statistics that never changes."""

    def __init__(self, database: Database) -> None:
        self.steps: list[str] = []
        event.listen(database.engine, "before_cursor_execute", self._explain)

    def _explain(self, _connection: Any, cursor: Any, statement: str, values: Any, *_rest: object) -> None:
        if statement.startswith("SELECT"):
            cursor.execute(f"EXPLAIN QUERY PLAN {statement}", values)
            self.steps += [row[3] for row in cursor.fetchall()]


@pytest.fixture
def plans(database: Database) -> Plans:
    """Of the queries of one test."""
    return Plans(database)


@pytest.mark.parametrize("instance", [None, "demo"])
@pytest.mark.parametrize("status", [None, "failed"])
@pytest.mark.parametrize("kind", [None, "stop"])
@pytest.mark.parametrize("before", [None, "01a2"])
async def test_a_list_reads_the_rows_it_gives_and_no_others(
    store: JobStore, plans: Plans, instance: str | None, status: str | None, kind: str | None, before: str | None
) -> None:
    """Whatever it is filtered by, one index has them in their order: nothing is sorted, nothing left out by hand."""
    await store.list_jobs(instance=instance, status=status, kind=kind, before=before)
    (step,) = plans.steps
    given = {"instance": instance, "status": status, "type": kind}
    conditions = [f"{name}=?" for name, value in given.items() if value] + ["id<?"] * bool(before)
    assert step.startswith("SEARCH job USING INDEX" if conditions else "SCAN job USING INDEX")
    assert not conditions or step.endswith(f"({' AND '.join(conditions)})")


async def test_the_look_at_active_jobs_reads_nothing_else(store: JobStore, plans: Plans) -> None:
    """It is done each second."""
    await store.active_jobs()
    assert plans.steps[0] == "SEARCH job USING INDEX job_one_active_per_instance (host=?)"


async def test_the_look_at_recent_jobs_reads_the_end_of_the_history(store: JobStore, plans: Plans) -> None:
    """At every start of the service."""
    await store.instances_with_jobs_since(now())
    assert plans.steps[0] == "SEARCH job USING INDEX sqlite_autoindex_job_1 (id>?)"


async def test_a_callers_key_is_found_in_the_index_of_keys(store: JobStore, plans: Plans) -> None:
    """Before every operation that has one."""
    await store.find_by_key("key")
    assert plans.steps == ["SEARCH job USING INDEX job_by_idempotency_key (host=? AND idempotency_key=?)"]


@pytest.mark.parametrize("instance", [None, "demo"])
async def test_figures_are_read_without_the_history(store: JobStore, plans: Plans, instance: str | None) -> None:
    """For each scrape: what was counted, and of backups those that are kept; of the newest rows the durations."""
    await Statistics(store).summary(instance)
    own = " AND instance=?" * bool(instance)
    assert [step for step in plans.steps if step.startswith(("SEARCH", "SCAN"))] == [
        f"SEARCH figure USING INDEX sqlite_autoindex_figure_1 (host=?{own})",
        f"SEARCH backup USING INDEX backup_kept (host=?{own})",
        f"SEARCH job USING INDEX job_ended{'_by_instance' * bool(instance)} (host=?{own})",
        f"SEARCH backup USING INDEX backup_by_{'instance' if instance else 'host'} (host=?{own})",
    ]
    assert not [step for step in plans.steps if "ORDER BY" in step]


async def test_what_is_old_is_found_from_its_old_end(database: Database, plans: Plans) -> None:
    """Each hour, mostly to find nothing: no step reads all that there is, and nothing is sorted."""
    history = HistoryStore(database, "here")
    await history.instances()
    await history.id_of_newest("demo", 50)
    await history.old_jobs("demo", now(), below="~", due=["b"])
    await history.old_backups("demo", now(), ["b"])
    await history.old_messages(now())
    await history.old_audit_events(now())
    assert [step for step in plans.steps if not step.startswith("LIST SUBQUERY")] == [
        "SEARCH backup USING COVERING INDEX backup_by_instance (host=?)",
        "SEARCH job USING INDEX job_ended_by_instance (host=?)",
        "SEARCH job USING INDEX job_ended_by_instance (host=? AND instance=?)",
        "SEARCH job USING INDEX job_ended_by_instance (host=? AND instance=? AND id<?)",
        "SEARCH backup USING INDEX backup_by_instance (host=? AND instance=?)",
        "SEARCH webhook_delivery USING INDEX webhook_delivery_due (host=? AND status=?)",
        "SCAN job_event",  # from its end, for one row
        "SEARCH backup USING INDEX backup_by_instance (host=? AND instance=?)",
        "SEARCH webhook_delivery USING INDEX webhook_delivery_by_host (host=? AND id<?)",
        "SEARCH audit_event USING INDEX audit_event_by_host (host=?)",
    ]
