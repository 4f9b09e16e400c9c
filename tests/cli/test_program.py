"""The program itself: quick help, the service as a process, printed documents."""

import asyncio
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path

import httpx
import pytest

from tests.cli.commands import command, environment

#: None of these may be loaded for a command that only prints help.
HEAVY = ["aioboto3", "fastapi", "httpx", "kubernetes_asyncio", "pydantic", "rich", "sqlmodel", "uvicorn"]


def test_help_imports_nothing_heavy() -> None:
    """Help is quick because commands import what they need only when they run."""
    code = f"import sys, app.cli.main; print([name for name in {HEAVY!r} if name in sys.modules])"
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed.strip() == "[]"


async def test_the_program_knows_its_version_without_a_service() -> None:
    """The one that is installed; `version` asks the service for its own."""
    ended = await command("http://127.0.0.1:9", "--version")
    assert (ended.code, ended.out.split()) == (0, ["kecs-state", version("kecs-state")])


async def test_settings_are_printed_masked() -> None:
    """A database URL may hold a password."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli.main", "settings", stdout=asyncio.subprocess.PIPE,
        env=environment("") | {"KECS_STATE_DATABASE_URL": "postgresql+asyncpg://u:hunter2@db/x"},
    )  # fmt: skip
    out, _ = await process.communicate()
    assert "hunter2" not in out.decode()
    assert json.loads(out)["server"]["port"] == 5380


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--state-dir", "somewhere"], "--state-dir is for --sandbox"),
        (["--sandbox", "--log-level", "LOUD"], "log-level"),
    ],
)
async def test_serve_refuses_what_it_must(tmp_path: Path, arguments: list[str], message: str) -> None:
    """The error names the reason, and nothing is created."""
    ended = await command("", "serve", *arguments, "--home", str(tmp_path / "home"))
    assert ended.code in {1, 2}
    assert message in ended.err
    assert not (tmp_path / "home").exists()


@pytest.mark.parametrize(
    ("variable", "value", "named"),
    [
        ("SERVER__PORT", "many", "server.port"),
        ("COMMAND__STATE", "power state", '"command"'),
        ("DRIVER", "command", "needs its six commands"),
    ],
)
async def test_a_wrong_setting_is_named(variable: str, value: str, named: str) -> None:
    """An environment variable that cannot be read is an error, not a traceback."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli.main", "settings", stderr=asyncio.subprocess.PIPE,
        env=environment("") | {f"KECS_STATE_{variable}": value},
    )  # fmt: skip
    _, err = await process.communicate()
    assert process.returncode == 2
    assert named in err.decode()
    assert "Traceback" not in err.decode()


@asynccontextmanager
async def _service(state: Path) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A sandbox service on a port of the system's choice, and its URL once it answers."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli.main", "serve", "--sandbox", "--state-dir", str(state), "--port", "0",
        env=environment("") | {"HOME": str(state)}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        async with asyncio.timeout(20):
            announcement = (await process.stdout.readline()).decode()
        assert "SANDBOX" in announcement
        yield process, announcement.split()[2]
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_serve_answers_where_it_says_and_ends_on_a_signal(tmp_path: Path) -> None:
    """The first line is printed when the port answers; SIGTERM ends the process in order."""
    async with _service(tmp_path) as (process, url):
        assert (await command(url, "status")).code == 0
        process.send_signal(signal.SIGTERM)
        assert await process.wait() == 0


async def test_idle_connections_are_left_to_the_client(tmp_path: Path) -> None:
    """As long as httpx keeps one: a service that closed it first would lose a POST sent at that moment."""
    own_ends = set()
    limits = httpx.Limits(keepalive_expiry=60)
    async with _service(tmp_path) as (_, url), httpx.AsyncClient(base_url=url, limits=limits) as client:
        for pause in (0, 5.5):
            await asyncio.sleep(pause)
            answer = await client.get("/healthz")
            own_ends.add(answer.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(own_ends) == 1


async def test_a_second_service_names_the_first(tmp_path: Path) -> None:
    """One service per machine: the second one exits and says who holds the instances."""
    async with _service(tmp_path) as (process, url):
        ended = await command("", "serve", "--sandbox", "--state-dir", str(tmp_path), "--port", "0")
        assert ended.code == 1
        assert url in ended.err
        assert str(process.pid) in ended.err


async def test_the_sandbox_has_its_own_commands() -> None:
    """`kecs-state sandbox` hands everything on, `--help` too."""
    ended = await command("", "sandbox", "--help")
    assert ended.code == 0, ended.err
    assert "seed" in ended.out
