"""The current of one slot: its machine started in namespaces of its own, and ended with them.

Nothing of a machine outlives its first process but empty control groups, which are removed here.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from tests.real.errors import RealError
from tests.real.slot import Slot

OWNER_VARIABLE = "KECS_STATE_REAL_OWNER"
_PROJECT = Path(__file__).parents[2]
_OFF_SECONDS = 15
#: A link's own route comes before it.
_LAST_RESORT = "9999"
#: Machines this very process started; they outlive it, but while it lives it has to reap them.
_started: dict[int, "subprocess.Popen[bytes]"] = {}


def is_running(slot: Slot) -> bool:
    """Whether its machine lives: it holds a lock for as long as it does, so a reused process id fools nobody."""
    path = slot.directory / "alive"
    if not path.exists():
        return False
    with path.open() as alive:
        try:
            fcntl.flock(alive, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def boot(slot: Slot) -> None:
    """Start the machine in namespaces of its own and give it its wire to the host."""
    alive, log = (slot.directory / "alive").open("w"), (slot.directory / "logs" / "machine.log").open("ab")
    handle = _owner_handle()
    with alive, log:
        fcntl.flock(alive, fcntl.LOCK_EX)
        command = ["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net"]
        command += [sys.executable, "-m", "tests.real.machine", str(slot.number), str(handle)]
        # Its own session: a Ctrl-C of the test run is no power failure.
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=_PROJECT,
            pass_fds=[alive.fileno(), *([handle] if handle >= 0 else [])],
        )  # fmt: skip
    if handle >= 0:
        os.close(handle)
    _started[slot.number] = process
    (slot.directory / "pid").write_text(str(process.pid))
    try:
        _wire(slot, _only_child(process))
    except BaseException:
        _end_machine(slot)
        raise


def cut(slot: Slot) -> None:
    """Off, and every trace gone; the link goes a moment after the machine."""
    _end_machine(slot)
    until = time.monotonic() + _OFF_SECONDS
    while Path(f"/sys/class/net/{slot.link}").exists():
        if time.monotonic() > until:
            raise RealError(f"the link {slot.link} is still there after {_OFF_SECONDS} s")
        time.sleep(0.01)
    _remove_control_groups(slot)


def wall_off(slot: Slot) -> None:
    """Nobody answers in the machine's place while it is off: without its link, its address would lead elsewhere."""
    _ip("route", "replace", "unreachable", slot.network, "metric", _LAST_RESORT, problem=f"Is {slot.network} taken?")


def open_up(slot: Slot) -> None:
    """The end of ``wall_off``; success when there was none."""
    command = ["ip", "route", "del", "unreachable", slot.network, "metric", _LAST_RESORT]
    subprocess.run(command, capture_output=True, timeout=10, check=False)


def _end_machine(slot: Slot) -> None:
    """SIGKILL to the machine's keeper, which takes its process 1 and so all of its namespaces with it."""
    if is_running(slot):
        with contextlib.suppress(ProcessLookupError):
            os.kill(int((slot.directory / "pid").read_text()), signal.SIGKILL)
    if (started := _started.pop(slot.number, None)) is not None:
        started.wait(_OFF_SECONDS)
    until = time.monotonic() + _OFF_SECONDS
    while is_running(slot):
        if time.monotonic() > until:
            raise RealError(f"the machine in {slot.directory} did not end within {_OFF_SECONDS} s")
        time.sleep(0.01)


def owner() -> int | None:
    """The process without which the clusters made now are not wanted; None when they shall outlive everybody."""
    pid = os.environ.get(OWNER_VARIABLE)
    if not pid:
        return None
    if not pid.isdecimal():
        raise RealError(f"{OWNER_VARIABLE}={pid} is no process id")
    return int(pid)


def _owner_handle() -> int:
    """A pidfd of the owner, or -1 when there is none to be."""
    if (pid := owner()) is None:
        return -1
    try:
        return os.pidfd_open(pid)
    except OSError:
        raise RealError(f"{OWNER_VARIABLE}={pid} is no running process") from None


def _only_child(process: "subprocess.Popen[bytes]") -> int:
    path = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    until = time.monotonic() + _OFF_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if children := path.read_text().split():
            return int(children[0])
        time.sleep(0.01)
    raise RealError("the machine did not start", "Look into logs/machine.log of its slot.")


def _wire(slot: Slot, machine: int) -> None:
    """The host's end goes when the machine's namespace goes."""
    own = Path("/proc/self/ns/net").readlink()
    until = time.monotonic() + _OFF_SECONDS
    while Path(f"/proc/{machine}/ns/net").readlink() == own:
        if time.monotonic() > until:
            raise RealError("the machine got no network of its own")
        time.sleep(0.005)
    problem = f"Is {slot.link} or its network taken?"
    _ip("link", "add", slot.link, "type", "veth", "peer", "name", "eth0", "netns", str(machine), problem=problem)
    _ip("address", "add", f"{slot.host_address}/24", "dev", slot.link, problem=problem)
    _ip("link", "set", slot.link, "up", problem=problem)


def _ip(*arguments: str, problem: str) -> None:
    result = subprocess.run(["ip", *arguments], capture_output=True, text=True, timeout=10, check=False)
    if result.returncode != 0:
        raise RealError(f"ip {' '.join(arguments)}: {result.stderr.strip()}", problem)


def _remove_control_groups(slot: Slot) -> None:
    """Empty by now; killed processes may take a moment to leave them."""
    until = time.monotonic() + _OFF_SECONDS
    for root in Path("/sys/fs/cgroup").glob(f"*/{slot.cgroup}"):
        for group in [*sorted((path for path in root.rglob("*") if path.is_dir()), reverse=True), root]:
            while group.exists():
                try:
                    group.rmdir()
                except OSError:
                    if time.monotonic() > until:
                        raise RealError(f"{group} still has processes in it") from None
                    time.sleep(0.01)
