"""What is read often or by anybody is found in an index, however long the history (docs/scale.md)."""

from typing import Any

import pytest
from sqlalchemy import event

from app.db import Database
from app.jobs.repository import JobStore
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
