"""A whole service whose history has grown old."""

from datetime import datetime, timedelta
from pathlib import Path

from app.db import Database
from app.host.host_id import host_id
from app.jobs.models import Job
from app.jobs.repository import lowest_id_of
from app.jobs.states import JobStatus
from app.queries import now
from tests.service import running_service
from tests.waiting import eventually


def stop_of(host: str, at: datetime) -> Job:
    """A stop of an instance that is gone, as it was recorded then."""
    return Job(
        id=f"{lowest_id_of(at)}-7000-8000-000000000000", type="stop", instance="gone", host=host,
        status=JobStatus.SUCCEEDED, request={}, created_at=at, started_at=at, finished_at=at, deadline_at=at,
    )  # fmt: skip


async def test_a_service_removes_what_is_old_when_it_begins_and_says_so(tmp_path: Path) -> None:
    """By its setting, in its log, and to those who still ask for such a job."""
    async with running_service(tmp_path, HISTORY__KEEP_DAYS="30") as service:
        await service.terminate()
        host = host_id(tmp_path / "state")
        old, young = (stop_of(host, now() - timedelta(days=days)) for days in (31, 29))
        database = Database(f"sqlite:///{tmp_path / 'state' / 'state.db'}")
        await database.write(lambda session: session.add_all([old, young]))
        await database.close()
        await service.start()

        async def gone() -> bool:
            return (await service.client.get(f"/jobs/{old.id}")).status_code == 404

        await eventually(gone)
        problem = (await service.client.get(f"/jobs/{old.id}")).json()
        assert problem["code"] == "job-not-found"
        assert "here after 30 days" in problem["detail"]
        assert (await service.client.get(f"/jobs/{young.id}")).json()["status"] == "succeeded"

        async def said() -> bool:
            return "removed what is over since more than 30 days: 1 jobs" in service.log.read_text()

        await eventually(said)
