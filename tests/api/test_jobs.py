"""Looking at jobs: the wire form, long polls, pages, events, cancelling."""

import asyncio

import httpx
import pytest

from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from tests.api.serving import ServedApi
from tests.jobs.conftest import make_job


async def test_a_job_has_the_documented_members(api: ServedApi) -> None:
    """The wire form of a succeeded job, whole."""
    job = await api.ended((await api.client.post("/instances/demo/stop")).json()["id"])
    assert set(job) == {
        "id", "type", "instance_name", "status", "step", "progress", "created_at", "started_at", "finished_at",
        "host", "deadline_at", "attempt", "backup", "result", "warnings", "error", "labels", "links",
    }  # fmt: skip
    assert (job["status"], job["attempt"], job["error"], job["step"]) == ("succeeded", 1, None, None)
    assert job["created_at"].endswith("Z")
    assert job["links"]["backup"] == f"/instances/demo/backups/{job['backup']}"
    assert "cancel" not in job["links"]


async def test_a_failed_job_carries_its_problem(api: ServedApi) -> None:
    """The error of a job is a problem document; the answer itself is still a 200."""
    job = await api.ended((await api.client.post("/instances/demo/backups")).json()["id"])
    assert job["status"] == "failed"
    assert (job["error"]["code"], job["error"]["findings"]) == ("proof-failed", ["absent"])


async def test_a_crashed_job_says_nothing_of_the_inside(api: ServedApi) -> None:
    """What an unexpected exception says may be secret."""
    job = await api.ended((await api.client.post("/instances/demo/stack/wake")).json()["id"])
    assert job["error"]["code"] == "internal-error"
    assert "hunter2" not in str(job)


async def test_a_long_poll_answers_when_the_job_ends(api: ServedApi) -> None:
    """The answer comes with the end, not at the end of the wait."""
    job_id = (await api.client.post("/instances/demo/start")).json()["id"]
    poll = asyncio.create_task(api.client.get(f"/jobs/{job_id}", params={"wait": 999}))
    await api.gate.held.wait()
    assert not poll.done()
    api.gate.opened.set()
    assert (await poll).json()["status"] == "succeeded"


async def test_a_long_poll_gives_up_in_time(client: httpx.AsyncClient) -> None:
    """An unfinished job comes with the time to look again."""
    job_id = (await client.post("/instances/demo/start")).json()["id"]
    response = await client.get(f"/jobs/{job_id}", params={"wait": 0.05})
    assert response.json()["status"] in {"queued", "running"}
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize("wait", ["-1", "soon", "nan", "inf"])
async def test_invalid_waits_are_refused(client: httpx.AsyncClient, wait: str) -> None:
    """A wait is a number of seconds."""
    job_id = (await client.post("/instances/demo/stop")).json()["id"]
    response = await client.get(f"/jobs/{job_id}", params={"wait": wait})
    assert response.status_code == 422
    assert response.json()["errors"][0]["location"] == "query"


@pytest.mark.parametrize("path", ["/jobs/nothing", "/jobs/nothing?wait=1", "/jobs/nothing/events"])
async def test_unknown_jobs_are_not_found(client: httpx.AsyncClient, path: str) -> None:
    """404 with a code of its own."""
    response = await client.get(path)
    assert (response.status_code, response.json()["code"]) == (404, "job-not-found")


async def test_pages_hold_every_job_once_newest_first(api: ServedApi) -> None:
    """Following next_link to its end gives all jobs, none twice."""
    for number in range(5):
        await api.client.post(f"/instances/many{number}/stop")
    seen, link = [], "/jobs?page_size=2&type=stop"
    while link:
        page = (await api.client.get(link)).json()
        assert len(page["jobs"]) <= 2
        seen += [job["instance_name"] for job in page["jobs"]]
        link = page["next_link"]
    assert seen == ["many4", "many3", "many2", "many1", "many0"]


async def test_jobs_are_filtered(api: ServedApi) -> None:
    """By instance, status and type."""
    await api.ended((await api.client.post("/instances/demo/stop")).json()["id"])
    await api.ended((await api.client.post("/instances/demo/backups")).json()["id"])
    for query, kinds in (("instance=demo&status=failed", ["backup"]), ("type=stop", ["stop"]), ("instance=off", [])):
        page = (await api.client.get(f"/jobs?{query}")).json()
        assert [job["type"] for job in page["jobs"]] == kinds


@pytest.mark.parametrize(
    "query", ["page_size=-1", "page_size=x", "page_token=%21", "status=odd", "type=odd", "unknown=1", "page_token=é"]
)
async def test_invalid_filters_are_refused(client: httpx.AsyncClient, query: str) -> None:
    """A filter that cannot be followed is not ignored."""
    assert (await client.get(f"/jobs?{query}")).status_code == 422


async def test_large_pages_are_cut(client: httpx.AsyncClient) -> None:
    """A page size over the maximum is coerced, not refused."""
    assert (await client.get("/jobs?page_size=100000")).status_code == 200


async def test_events_tell_the_story_in_order(api: ServedApi) -> None:
    """Every step begins and ends; `after` gives only what came later."""
    job_id = (await api.client.post("/instances/demo/stop")).json()["id"]
    await api.ended(job_id)
    events = (await api.client.get(f"/jobs/{job_id}/events")).json()
    assert [event["type"] for event in events] == [
        "job.created", "job.started", "step.started", "step.succeeded", "job.succeeded",
    ]  # fmt: skip
    later = (await api.client.get(f"/jobs/{job_id}/events", params={"after": events[2]["id"]})).json()
    assert later == events[3:]


async def test_a_waiting_job_can_be_cancelled(api: ServedApi) -> None:
    """Cancelling is accepted, and the job ends as cancelled."""
    job_id = (await api.client.post("/instances/demo/start")).json()["id"]
    await api.gate.held.wait()
    response = await api.client.post(f"/jobs/{job_id}/cancel")
    assert (response.status_code, response.headers["location"]) == (202, f"/jobs/{job_id}")
    assert (await api.ended(job_id))["status"] == "cancelled"


async def test_an_ended_job_cannot_be_cancelled(api: ServedApi) -> None:
    """409 says how it ended."""
    job_id = (await api.client.post("/instances/demo/stop")).json()["id"]
    await api.ended(job_id)
    response = await api.client.post(f"/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "job-already-finished")


async def test_a_begun_power_off_cannot_be_cancelled(api: ServedApi) -> None:
    """Past the point of no return, cancelling is refused."""
    job_id = (await api.client.post("/instances/demo/stack/sleep")).json()["id"]
    while not any(e["type"] == "power_off_begun" for e in (await api.client.get(f"/jobs/{job_id}/events")).json()):
        await asyncio.sleep(0.01)
    response = await api.client.post(f"/jobs/{job_id}/cancel")
    assert (response.status_code, response.json()["code"]) == (409, "past-point-of-no-return")


@pytest.mark.parametrize("what", ["cancel", "retry"])
async def test_a_job_of_another_host_is_left_to_its_own_service(api: ServedApi, what: str) -> None:
    """The instance of that name here is another one."""
    there = JobStore(api.app.state.services.database, "there")
    job = await make_job(there)
    if what == "retry":
        await there.finish(job.id, JobStatus.FAILED)
    refused = await api.client.post(f"/jobs/{job.id}/{what}")
    assert (refused.status_code, refused.json()["code"]) == (409, "job-of-another-host")
    assert refused.json()["host"] == "there"
    assert len((await api.client.get("/jobs")).json()["jobs"]) == 1
