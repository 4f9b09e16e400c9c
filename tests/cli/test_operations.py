"""Operations from the command line: what is shown, and the exit code scripts rely on."""

import asyncio
import json
import os
import pty
import signal
import sys

import pytest

from tests.api.serving import ServedApi
from tests.cli.commands import begin, command, end, environment

NOWHERE = "http://127.0.0.1:1"


async def test_a_stop_shows_its_steps_and_its_end(api: ServedApi) -> None:
    """Each step with its seconds, then how it ended; exit 0."""
    ended = await command(api.url, "stop", "demo")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert lines[0].startswith("stop demo: job ")
    assert any(line.split()[0] == "create-backup" and line.endswith(" s") for line in lines)
    assert "  protected    yes, by stop-backup-demo-20260101000000" in lines


async def test_json_is_all_there_is(api: ServedApi) -> None:
    """With --json standard output is the final job alone."""
    ended = await command(api.url, "stop", "demo", "--json")
    assert json.loads(ended.out)["status"] == "succeeded"


async def test_a_failed_job_is_exit_1_with_its_problem(api: ServedApi) -> None:
    """Title, detail and remedy stand on standard error."""
    job = (await api.client.post("/instances/demo/backups")).json()
    ended = await command(api.url, "jobs", job["id"], "--follow")
    assert ended.code == 1
    assert "The backup could not be proven: 2 objects are absent" in ended.err
    assert "What to do: Stop again." in ended.err
    assert "FAILED" in ended.out


async def test_warnings_are_exit_5(api: ServedApi) -> None:
    """Done, but the user should look."""
    job = (await api.client.post("/instances/demo/restores")).json()
    ended = await command(api.url, "jobs", job["id"], "--follow")
    assert ended.code == 5
    assert "! workloads-not-ready: 1 workload is not ready" in ended.out


async def test_the_time_is_up_is_exit_4(api: ServedApi) -> None:
    """--timeout leaves the job running and says how to come back."""
    ended = await command(api.url, "start", "demo", "--timeout", "0.2")
    assert ended.code == 4
    assert "--follow" in ended.err
    assert (await api.client.get("/jobs?instance=demo")).json()["jobs"][0]["status"] == "running"


async def test_no_service_is_exit_3() -> None:
    """The error names the address and the way out."""
    ended = await command(NOWHERE, "stop", "demo")
    assert ended.code == 3
    assert NOWHERE in ended.err
    assert "kecs-state serve" in ended.err


@pytest.mark.parametrize("arguments", [["stop"], ["stop", "demo", "--mode", "maybe"], ["stop", "demo", "--label", "x"]])
async def test_wrong_usage_is_exit_2(arguments: list[str]) -> None:
    """Wrong options never reach the service."""
    assert (await command(NOWHERE, *arguments)).code == 2


async def test_a_refusal_is_exit_1_with_its_remedy(api: ServedApi) -> None:
    """A problem of the service comes out as it is."""
    ended = await command(api.url, "stop", "nobody")
    assert ended.code == 1
    assert ended.err.startswith("Instance not found: ")
    assert "What to do: " in ended.err


async def test_ctrl_c_leaves_the_job_running(api: ServedApi) -> None:
    """Interrupting looks away; the job goes on, and the message says how to reattach."""
    process = await begin(api.url, "start", "demo")
    await api.gate.held.wait()
    assert process.stdout is not None
    await process.stdout.readline()
    process.send_signal(signal.SIGINT)
    ended = await end(process)
    job = (await api.client.get("/jobs?instance=demo")).json()["jobs"][0]
    assert (ended.code, job["status"]) == (130, "running")
    assert f"kecs-state jobs {job['id']} --follow" in ended.err


async def test_options_become_fields(api: ServedApi) -> None:
    """What is not asked for is not sent, so the service's defaults stay its own."""
    arguments = ["--mode", "best_effort", "-n", "web", "--label", "by=me", "--job-timeout", "30"]
    arguments += ["--no-volumes", "--json"]
    ended = await command(api.url, "stop", "demo", *arguments)
    job = await api.app.state.services.store.get(json.loads(ended.out)["id"])
    assert (job.request["backup"]["mode"], job.request["backup"]["include_namespaces"]) == ("best_effort", ["web"])
    assert job.request["backup"]["include_volumes"] is False
    assert (job.request["labels"], job.request["timeout_seconds"]) == ({"by": "me"}, 30)


async def test_a_move_says_where_to(api: ServedApi) -> None:
    """Without a store in the settings there is only one way."""
    refused = await command(api.url, "move-storage", "demo")
    assert (refused.code, "docs/storage.md" in refused.err) == (1, True)
    ended = await command(api.url, "move-storage", "demo", "--to", "internal", "--detach", "--json")
    job = await api.app.state.services.store.get(json.loads(ended.out)["id"])
    assert (job.type, job.request) == ("move-storage", {"to": "internal"})


async def test_detach_returns_at_once(api: ServedApi) -> None:
    """The job's id is all it prints."""
    ended = await command(api.url, "start", "demo", "--detach")
    assert ended.code == 0
    assert ended.out.startswith("Job ")


async def test_a_job_can_be_cancelled(api: ServedApi) -> None:
    """Cancelling says that nothing is rolled back; following the job then exits 1."""
    job = (await api.client.post("/instances/demo/start")).json()
    await api.gate.held.wait()
    assert "Nothing is rolled back" in (await command(api.url, "cancel", job["id"])).out
    assert (await command(api.url, "jobs", job["id"], "--follow")).code == 1


async def test_a_terminal_gets_one_updating_line(api: ServedApi) -> None:
    """On a terminal the current step is shown while it runs, and finished ones stay."""
    leader, follower = pty.openpty()
    settings = environment(api.url) | {"TERM": "xterm", "COLUMNS": "120"}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli.main", "start", "demo", env=settings, stdout=follower, stderr=follower
    )
    os.close(follower)
    try:
        assert b"wait-at-the-gate" in await _read_until(leader, b"wait-at-the-gate")
        api.gate.opened.set()
        assert b"start demo: succeeded" in await _read_until(leader, b"start demo: succeeded")
        assert await process.wait() == 0
    finally:
        os.close(leader)


async def _read_until(terminal: int, text: bytes) -> bytes:
    seen = b""
    async with asyncio.timeout(20):
        while text not in seen:
            seen += await asyncio.to_thread(os.read, terminal, 4096)
    return seen
