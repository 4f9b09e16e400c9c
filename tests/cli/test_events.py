"""Following what happens from the command line."""

import asyncio
import json
import signal

from tests.api.serving import ServedApi
from tests.cli.commands import begin, command, end

NOWHERE = "http://127.0.0.1:1"


async def test_events_of_a_job_are_listed(api: ServedApi) -> None:
    """A line for each, oldest first."""
    job = (await api.client.post("/instances/demo/stop", headers={"Prefer": "wait=20"})).json()
    ended = await command(api.url, "events", job["id"])
    lines = ended.out.splitlines()
    assert ended.code == 0, ended.err
    assert "job.created" in lines[0]
    assert "create-backup" in ended.out
    assert "job.succeeded" in lines[-1]
    assert all(job["id"][-8:] in line for line in lines)


async def test_following_a_job_ends_with_it(api: ServedApi) -> None:
    """Each event is printed when it comes; with --json a document a line."""
    job = (await api.client.post("/instances/demo/start")).json()
    process = await begin(api.url, "events", job["id"], "--follow", "--json")
    assert process.stdout is not None
    first = json.loads(await process.stdout.readline())
    assert (first["type"], first["job_id"]) == ("job.created", job["id"])
    api.gate.opened.set()
    ended = await end(process)
    assert ended.code == 0, ended.err
    assert [json.loads(line)["type"] for line in ended.out.splitlines()][-1] == "job.succeeded"


async def test_following_everything_ends_with_ctrl_c(api: ServedApi) -> None:
    """Exit 130, and no traceback."""
    await api.client.post("/instances/demo/start")
    process = await begin(api.url, "events", "--follow", "--after", "0")
    assert process.stdout is not None
    async with asyncio.timeout(20):
        assert b"job.created" in await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    assert (ended.code, ended.err) == (130, "")


async def test_events_of_one_instance(api: ServedApi) -> None:
    """--instance leaves the others out."""
    for name in ("demo", "many1"):
        await api.client.post(f"/instances/{name}/stop", headers={"Prefer": "wait=20"})
    ended = await command(api.url, "events", "--instance", "many1", "--json")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert {event["data"].get("instance") for event in events if event["type"] == "job.created"} == {"many1"}


async def test_events_need_a_service_and_a_good_cursor(api: ServedApi) -> None:
    """Exit 3 without a service, 1 for a cursor the journal has not reached, 2 for options that contradict."""
    assert (await command(NOWHERE, "events", "--follow")).code == 3
    ended = await command(api.url, "events", "--after", "4711")
    assert (ended.code, ended.err.splitlines()[0][:24]) == (1, "The cursor is not valid:")
    assert (await command(api.url, "events", "some-job", "--instance", "demo")).code == 2
