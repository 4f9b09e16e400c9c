"""What is written for whom, in the transaction of what it tells of."""

import json

import pytest
from sqlmodel import Session

from app.jobs.models import BackupRecord
from app.jobs.states import JobStatus
from app.queries import now
from app.webhooks.messages import EventType
from app.webhooks.outbox import Outbox
from app.webhooks.store import WebhookStore
from tests.databases import ON_BOTH_DATABASES
from tests.webhooks.conftest import Office

pytestmark = ON_BOTH_DATABASES

URL = "http://127.0.0.1:1/hook"


async def test_every_endpoint_gets_what_it_listens_to(office: Office) -> None:
    """No list of events means all of them."""
    everything = await office.endpoint(URL)
    ends = await office.endpoint(URL, EventType.JOB_SUCCEEDED, EventType.JOB_FAILED)
    job = await office.job()
    await office.jobs.finish(job.id, JobStatus.SUCCEEDED, result={"restored": {"backup": "b"}, "protected": True})
    written = [(delivery.endpoint_id, delivery.type) for delivery in await office.deliveries()]
    assert sorted(written) == sorted(
        [(everything.id, name) for name in ("job.started", "job.succeeded", "restore.finished")]
        + [(ends.id, "job.succeeded")]
    )


async def test_a_callback_gets_every_event_of_its_job_and_of_no_other(office: Office) -> None:
    """Without anything registered."""
    job = await office.job(callback_url=URL)
    other = await office.job("other")
    await office.jobs.finish(job.id, JobStatus.CANCELLED)
    await office.jobs.finish(other.id, JobStatus.CANCELLED)
    written = [(row.url, row.job_id, row.type) for row in await office.deliveries()]
    assert written == [(URL, job.id, "job.started"), (URL, job.id, "job.cancelled")]


async def test_a_message_says_what_happened(office: Office) -> None:
    """The job in brief, the proven backup with its size, and where to read more."""
    await office.endpoint(URL, EventType.BACKUP_PROVEN)
    job = await office.job()
    record = BackupRecord(
        host="here", instance="demo", name="stop-1", instance_id="i", job_id=job.id, scope="full", status="proven",
        size_bytes=7, created_at=now(),
    )  # fmt: skip
    await office.jobs.backups.save(record)
    (delivery,) = await office.deliveries()
    body = json.loads(delivery.body)
    data = body["data"]
    assert (body["type"], data["instance_name"], data["job"]["id"]) == ("backup.proven", "demo", job.id)
    assert (data["backup"], data["size_bytes"], data["job"]["status"]) == ("stop-1", 7, "running")
    assert data["links"]["backup"] == "/instances/demo/backups/stop-1"


async def test_odd_characters_do_not_stop_a_job_from_ending(office: Office) -> None:
    """The body is plain ASCII, whatever an error says."""
    await office.endpoint(URL, EventType.JOB_FAILED)
    job = await office.job()
    await office.jobs.finish(job.id, JobStatus.FAILED, error={"code": "x", "detail": "\udcff é", "findings": ["y"]})
    (delivery,) = await office.deliveries()
    assert delivery.body.isascii()
    assert json.loads(delivery.body)["data"]["job"]["error"] == {"code": "x", "detail": "\udcff é"}


async def test_a_message_is_undone_with_what_it_tells_of(office: Office) -> None:
    """It is written on the session of the change, so a rollback leaves none."""
    await office.endpoint(URL)
    job = await office.job()

    def half_a_change(session: Session) -> None:
        Outbox("here")(session, "job.failed", job, {})
        session.flush()
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError):
        await office.database.write(half_a_change)
    assert [delivery.type for delivery in await office.deliveries()] == ["job.started"]


async def test_a_disabled_endpoint_gets_nothing_new(office: Office) -> None:
    """Neither what it listens to nor a test."""
    endpoint = await office.endpoint(URL)
    await office.webhooks.change(endpoint.id, {"enabled": False})
    await office.job()
    assert await office.deliveries() == []


async def test_endpoints_of_another_host_are_told_nothing(office: Office) -> None:
    """Their loopback addresses mean another machine."""
    await WebhookStore(office.database, "there", office.addresses).create(URL, "", [])
    await office.job()
    assert await office.deliveries() == []
    assert await office.webhooks.list() == []
