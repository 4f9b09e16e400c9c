"""Scratch directories: private, and gone whether their process ends, fails or is killed."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from app.scratch import PREFIX, YOUNG_SECONDS, remove_left_behind, scratch_directory
from tests.service import running_service

HOLD = """
import sys
from app.scratch import scratch_directory
with scratch_directory() as path:
    (path / "secret").write_text("in clear")
    print(path, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A TMPDIR of this test's own."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def made_long_ago(path: Path) -> None:
    """As if nobody had just made it."""
    then = time.time() - YOUNG_SECONDS - 1
    os.utime(path, (then, then))


def left_behind() -> Path:
    """A directory whose process was killed."""
    with subprocess.Popen([sys.executable, "-c", HOLD], stdin=-1, stdout=-1, text=True) as process:
        assert process.stdout is not None
        path = Path(process.stdout.readline().strip())
        process.send_signal(signal.SIGKILL)
    made_long_ago(path)
    return path


def test_it_is_private_and_gone_at_its_end() -> None:
    """With what is in it."""
    with scratch_directory() as path:
        (path / "file").write_text("in clear")
        assert path.stat().st_mode & 0o777 == 0o700
    assert not path.exists()


def test_an_error_is_an_end_too() -> None:
    """Whatever went wrong."""
    with pytest.raises(ZeroDivisionError), scratch_directory() as path:
        raise ZeroDivisionError
    assert not path.exists()


def test_what_a_killed_process_left_is_removed() -> None:
    """With what is in it."""
    path = left_behind()
    assert (path / "secret").exists()
    assert (remove_left_behind(), path.exists()) == (1, False)


def test_what_is_held_or_young_stays() -> None:
    """Another service may be using it, or about to."""
    with scratch_directory() as held:
        made_long_ago(held)
        young = Path(tempfile.mkdtemp(prefix=PREFIX))
        assert remove_left_behind() == 0
        assert held.exists()
        assert young.exists()


def test_what_only_has_the_name_stays(tmp_path: Path) -> None:
    """A file, and a link to somewhere else."""
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link, file = tmp_path / f"{PREFIX}link", tmp_path / f"{PREFIX}file"
    link.symlink_to(elsewhere)
    file.touch()
    made_long_ago(elsewhere)
    made_long_ago(file)
    assert remove_left_behind() == 0
    assert elsewhere.exists()
    assert file.exists()


async def test_a_service_that_starts_removes_what_the_last_one_left(tmp_path: Path) -> None:
    """And says so."""
    path = left_behind()
    home = tmp_path / "home"
    home.mkdir()
    async with running_service(home) as service:
        assert not path.exists()
        assert "left behind" in service.log.read_text()
