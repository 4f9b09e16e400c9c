"""Running programs: bounded, ended with all they started, and never at the price of waiting for their children."""

import asyncio
import os
from contextlib import nullcontext
from pathlib import Path

import pytest

from app.clusters import programs
from app.clusters.programs import Finished, run, run_well
from app.errors import ClusterCommandError
from tests.waiting import eventually

REMEDY = "Look at the setting."
#: A child in the background that says who it is and outlives its parent; its outputs are the parent's.
CHILD = "sleep 60 & echo $! > {file}; "


async def shell(script: str, seconds: float = 30) -> Finished:
    """Run a script as the program."""
    return await run_well(["/bin/sh", "-c", script], seconds, remedy=REMEDY)


def alive(file: Path) -> bool:
    """Whether the process whose id a script wrote down still runs; a zombie does not."""
    stat = Path(f"/proc/{file.read_text().strip()}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def open_files() -> int:
    """How many this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))


async def gone(file: Path) -> None:
    """Wait until it has ended."""

    async def ended() -> bool:
        return not alive(file)

    await eventually(ended)


async def test_both_outputs_are_read(tmp_path: Path) -> None:
    """More than a pipe holds, so that a program never stands still because nobody reads."""
    (tmp_path / "big").write_bytes(b"x" * 300_000)
    finished = await shell(f"cat {tmp_path}/big; cat {tmp_path}/big >&2")
    assert (finished.code, len(finished.stdout)) == (0, 300_000)
    assert len(finished.stderr) == programs.MAX_STDERR_BYTES


async def test_a_failure_quotes_the_end_of_standard_error_readably() -> None:
    """Without colours, on one line, with the exit code."""
    script = r"yes long | head -c 50000 >&2; printf '\033[31mFATA\033[0m[0000] no  such\ncluster\n' >&2; exit 3"
    with pytest.raises(ClusterCommandError, match=r"exit code 3: .*FATA\[0000\] no such cluster$") as raised:
        await shell(script)
    assert len(raised.value.detail) < 1500


@pytest.mark.parametrize(
    "said",
    [
        "password: hunter2",
        "token=hunter2",
        "https://u:hunter2@host/",
        "-----BEGIN KEY-----\nhunter2\n-----END KEY-----",
    ],
)
async def test_secrets_on_standard_error_are_not_quoted(tmp_path: Path, said: str) -> None:
    """What looks like one is masked."""
    (tmp_path / "said").write_text(said)
    with pytest.raises(ClusterCommandError, match=r"\*\*\*") as raised:
        await shell(f"cat {tmp_path}/said >&2; exit 1")
    assert "hunter2" not in str(raised.value.problem())


async def test_a_program_ended_by_a_signal_says_so() -> None:
    """By its name."""
    with pytest.raises(ClusterCommandError, match="SIGTERM"):
        await shell("kill -15 $$")


@pytest.mark.parametrize("program", ["/nonexistent/power", "/etc/passwd", "/tmp"])
async def test_a_program_that_cannot_be_run_is_named(program: str) -> None:
    """Missing, not executable, a directory."""
    with pytest.raises(ClusterCommandError, match=program) as raised:
        await run([program, "state"], 5, remedy=REMEDY)
    assert raised.value.remedy == REMEDY


async def test_output_without_end_ends_the_program() -> None:
    """After 4 MiB, long before its deadline."""
    with pytest.raises(ClusterCommandError, match=r"more than 4,194,304 bytes"):
        await shell("yes")


async def test_an_overrun_ends_the_whole_group(tmp_path: Path) -> None:
    """What the program has started goes with it."""
    file = tmp_path / "child"
    with pytest.raises(ClusterCommandError, match="not done after"):
        await shell(f"{CHILD.format(file=file)} wait", seconds=0.5)
    await gone(file)


async def test_a_program_deaf_to_sigterm_is_killed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Once the grace is over, children that outlive it included."""
    monkeypatch.setattr(programs, "GRACE_SECONDS", 0.3)
    file = tmp_path / "child"
    with pytest.raises(ClusterCommandError, match="not done after"):
        await shell(f"trap '' TERM; {CHILD.format(file=file)} while :; do sleep 1; done", seconds=0.5)
    await gone(file)


async def test_a_cancelled_caller_leaves_no_program_behind(tmp_path: Path) -> None:
    """The job has ended, so nobody would look after it."""
    file = tmp_path / "child"
    task = asyncio.create_task(shell(f"{CHILD.format(file=file)} wait"))

    async def started() -> bool:
        return file.exists() and file.read_text() != ""

    await eventually(started)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone(file)


async def test_what_a_program_leaves_running_is_its_own_business(tmp_path: Path) -> None:
    """Even if it holds the outputs open: a start may well leave a daemon."""
    file = tmp_path / "child"
    began = asyncio.get_running_loop().time()
    finished = await shell(f"{CHILD.format(file=file)} echo done")
    assert finished.stdout == b"done\n"
    assert asyncio.get_running_loop().time() - began < 5
    assert alive(file)
    os.kill(int(file.read_text()), 9)


async def test_the_services_own_settings_are_not_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of the environment is, as clients find their daemons by it."""
    monkeypatch.setenv("KECS_STATE_DATABASE_URL", "postgresql://u:hunter2@host/db")
    monkeypatch.setenv("DOCKER_HOST", "unix:///run/docker.sock")
    monkeypatch.setenv("KECS_STATE_REAL_HOME", "/tmp/real")
    environment = (await shell("env")).stdout.decode()
    assert "DOCKER_HOST=unix:///run/docker.sock" in environment
    assert "KECS_STATE_REAL_HOME=/tmp/real" in environment
    assert "hunter2" not in environment


async def test_no_pipe_is_left_open() -> None:
    """However a program ended."""
    before = open_files()
    for script in ("true", "exit 1", "sleep 9"):
        with pytest.raises(ClusterCommandError) if script != "true" else nullcontext():
            await shell(script, seconds=0.3)
    await asyncio.sleep(0)  # a transport closes its file a turn of the loop later
    assert open_files() == before
