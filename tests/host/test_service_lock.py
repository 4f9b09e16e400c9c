"""One service per machine, and which host this is."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from app.host.host_id import host_id
from app.host.service_lock import LOCK_FILE, ServiceAlreadyRunning, ServiceLock

URL = "http://127.0.0.1:5380"
HOLD = """
import sys
from pathlib import Path
from app.host.service_lock import ServiceLock
with ServiceLock(Path(sys.argv[1]), url=sys.argv[2]):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_service_is_told_who_holds_the_instances(tmp_path: Path) -> None:
    """Process and address, for people and for programs."""
    with ServiceLock(tmp_path, url=URL), pytest.raises(ServiceAlreadyRunning) as raised:
        ServiceLock(tmp_path, url="http://127.0.0.1:1").__enter__()
    assert raised.value.code == "service-already-running"
    assert raised.value.extras == {"pid": os.getpid(), "url": URL}
    assert URL in raised.value.detail


def test_the_lock_is_free_again_afterwards(tmp_path: Path) -> None:
    """Also for the same process."""
    with ServiceLock(tmp_path, url=URL):
        pass
    with ServiceLock(tmp_path, url=URL):
        pass


def test_the_lock_of_a_killed_service_is_free(tmp_path: Path) -> None:
    """The system frees it; nobody has to remove a file."""
    command = [sys.executable, "-c", HOLD, str(tmp_path), URL]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(ServiceAlreadyRunning, match=str(holder.pid)):
            ServiceLock(tmp_path, url=URL).__enter__()
        holder.send_signal(signal.SIGKILL)
    with ServiceLock(tmp_path, url=URL):
        assert "pid" in (tmp_path / LOCK_FILE).read_text()


def test_the_host_id_is_made_once(tmp_path: Path) -> None:
    """And private."""
    first = host_id(tmp_path / "state")
    assert host_id(tmp_path / "state") == first
    assert (tmp_path / "state" / "host-id").stat().st_mode & 0o777 == 0o600


def test_the_state_directory_may_be_a_link_of_the_users(tmp_path: Path) -> None:
    """It is no instance's."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "disk")
    assert host_id(tmp_path / "state") == (tmp_path / "disk" / "host-id").read_text()
