"""Live progress: Server-Sent Events that begin, resume and end where they should."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from app.api import live
from app.history.store import HistoryStore
from tests.api.serving import ServedApi
from tests.api.test_problems import problem_of

STOPS = ("/instances/demo/stop", "/instances/many0/stop")
STREAM = {"Accept": "text/event-stream"}


async def messages(response: httpx.Response) -> AsyncIterator[tuple[int, dict[str, Any]]]:
    """Id and data of every message, as a browser would read them."""
    number = 0
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "id":
            number = int(value)
        elif field == "data":
            yield number, json.loads(value)


async def all_messages(client: httpx.AsyncClient, path: str, **headers: str) -> list[tuple[int, dict[str, Any]]]:
    """Every message of a stream that ends by itself."""
    async with asyncio.timeout(20), client.stream("GET", path, headers=STREAM | headers) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        return [message async for message in messages(response)]


async def test_a_stream_ends_with_its_job(api: ServedApi) -> None:
    """A follower sees every event in order, each under its own id, and then the end of the stream."""
    job = (await api.client.post("/instances/demo/stop")).json()
    seen = await all_messages(api.client, f"/jobs/{job['id']}/events")
    listed = (await api.client.get(f"/jobs/{job['id']}/events")).json()
    assert [data for _, data in seen] == listed
    assert [number for number, _ in seen] == [event["id"] for event in listed]
    assert listed[-1]["type"] == "job.succeeded"


async def test_events_come_while_the_job_runs(api: ServedApi) -> None:
    """What happens is said when it happens, not when the job has ended."""
    job = (await api.client.post("/instances/demo/start")).json()
    async with asyncio.timeout(20), api.client.stream("GET", f"/jobs/{job['id']}/events", headers=STREAM) as response:
        heard = messages(response)
        async for _, event in heard:
            if event["type"] == "step.started":
                break
        assert (await api.client.get(f"/jobs/{job['id']}")).json()["status"] == "running"
        api.gate.opened.set()
        assert [event["type"] async for _, event in heard] == ["step.succeeded", "job.succeeded"]


async def test_a_stream_goes_on_where_the_last_one_broke(api: ServedApi) -> None:
    """Last-Event-ID wins over the address, since a browser repeats the address it first had."""
    job = (await api.client.post("/instances/demo/stop")).json()
    whole = await all_messages(api.client, f"/jobs/{job['id']}/events")
    path = f"/jobs/{job['id']}/events?after=0"
    rest = await all_messages(api.client, path, **{"Last-Event-ID": str(whole[1][0])})
    assert rest == whole[2:]


async def test_nothing_more_to_come_is_204(api: ServedApi) -> None:
    """A browser that connects again after the end is told to leave it."""
    job = (await api.client.post("/instances/demo/stop", headers={"Prefer": "wait=20"})).json()
    last = (await api.client.get(f"/jobs/{job['id']}/events")).json()[-1]["id"]
    response = await api.client.get(f"/jobs/{job['id']}/events", headers=STREAM | {"Last-Event-ID": str(last)})
    assert (response.status_code, response.content) == (204, b"")


async def test_silence_is_broken_by_heartbeats(api: ServedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that says nothing for long keeps its followers' connections."""
    monkeypatch.setattr(live, "HEARTBEAT_SECONDS", 0.05)
    job = (await api.client.post("/instances/demo/start")).json()
    await api.gate.held.wait()
    async with asyncio.timeout(20), api.client.stream("GET", f"/jobs/{job['id']}/events", headers=STREAM) as response:
        comments = [line async for line in _until(response, ": still here", 2)]
    assert len(comments) == 2


async def _until(response: httpx.Response, line: str, times: int) -> AsyncIterator[str]:
    async for heard in response.aiter_lines():
        if heard == line:
            yield heard
            times -= 1
            if not times:
                return


async def test_all_jobs_can_be_followed_at_once(api: ServedApi) -> None:
    """A stream of everything begins now and knows the instance."""
    await api.client.post("/instances/demo/stop", headers={"Prefer": "wait=20"})
    async with asyncio.timeout(20), api.client.stream("GET", "/events?instance=many1", headers=STREAM) as response:
        await api.client.post("/instances/many0/stop")
        job = (await api.client.post("/instances/many1/stop")).json()
        async for _, event in messages(response):
            assert event["job_id"] == job["id"]
            if event["type"] == "job.succeeded":
                break


async def test_all_events_can_be_listed(api: ServedApi) -> None:
    """Without a stream, the same as pages of what has happened."""
    job = (await api.client.post("/instances/demo/stop", headers={"Prefer": "wait=20"})).json()
    events = (await api.client.get("/events")).json()
    assert {event["job_id"] for event in events} == {job["id"]}
    assert (await api.client.get("/events", params={"after": events[-1]["id"]})).json() == []


@pytest.mark.parametrize("cursor", ["soon", "-1", "1e3", "9" * 30, "²", "4711"])
async def test_bad_cursors_are_refused(api: ServedApi, cursor: str) -> None:
    """Neither nonsense nor an id the journal has not reached: waiting for that would never end."""
    job = (await api.client.post("/instances/demo/stop", headers={"Prefer": "wait=20"})).json()
    for path in (f"/jobs/{job['id']}/events", "/events"):
        headers = [(b"Accept", b"text/event-stream"), (b"Last-Event-ID", cursor.encode("latin-1"))]
        problem_of(await api.client.get(path, headers=headers), 422, "invalid-cursor")


async def test_a_cursor_from_before_the_oldest_event_goes_on_with_that(api: ServedApi) -> None:
    """Old jobs go whole, so who comes back after months misses jobs, and never a part of one."""
    old, newer = [(await api.client.post(path, headers={"Prefer": "wait=20"})).json() for path in STOPS]
    last_seen = str((await api.client.get("/events")).json()[0]["id"])
    services = api.app.state.services
    await HistoryStore(services.database, services.store.host).remove_jobs([old["id"]])
    kept = (await api.client.get(f"/jobs/{newer['id']}/events")).json()
    assert (await api.client.get("/events", params={"after": last_seen})).json() == kept
    headers = STREAM | {"Last-Event-ID": last_seen}
    async with asyncio.timeout(20), api.client.stream("GET", "/events", headers=headers) as response:
        heard = messages(response)
        assert [(await anext(heard))[1] for _ in kept] == kept
    problem_of(await api.client.get(f"/jobs/{old['id']}/events", headers=headers), 404, "job-not-found")


async def test_following_nothing_is_not_found(client: httpx.AsyncClient) -> None:
    """An unknown job is a problem document, stream or not."""
    problem_of(await client.get("/jobs/nothing/events", headers=STREAM), 404, "job-not-found")
