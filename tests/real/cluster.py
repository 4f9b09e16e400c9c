"""Real clusters from outside: made, powered, wiped and removed, by name.

Powered off means that the machine's first process got SIGKILL, as when the current fails; a drain may come before.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real import power, requests
from tests.real.binaries import binary
from tests.real.components import SERVICE_ADDRESS, write_configuration
from tests.real.dns import install_dns
from tests.real.errors import RealError
from tests.real.pki import make_pki, write_kubeconfigs
from tests.real.places import HOME, SLOTS
from tests.real.slot import MOST_SLOTS, NODE, Record, Slot, find, slots

_READY_SECONDS = 90
_LOCK_SECONDS = 120
_DRAIN_SECONDS = 10
_FREE_BYTES = 2 * 1024**3
#: Hidden from the node by file systems of its own.
_HIDDEN = ("/run", "/mnt", "/var/log", "/var/lib")
_PROGRAMS = {
    "containerd": "containerd", "runc": "runc", "ctr": "containerd", "iptables": "iptables", "conntrack": "conntrack",
    "ip": "iproute2", "unshare": "util-linux",
}  # fmt: skip


def require_machine() -> None:
    """Raise ``RealError`` naming what this machine lacks for a real node."""
    if os.geteuid() != 0:
        raise RealError("a real cluster needs root: it makes namespaces, mounts and network links", "Run it as root.")
    missing = sorted({package for program, package in _PROGRAMS.items() if shutil.which(program) is None})
    if not Path("/usr/lib/cni/bridge").exists():
        missing.append("containernetworking-plugins")
    if not Path("/bin/busybox").exists():
        missing.append("busybox-static")
    if missing:
        raise RealError(f"{', '.join(missing)} not installed", f"Run: apt-get install {' '.join(missing)}")
    HOME.mkdir(parents=True, exist_ok=True)
    if (free := shutil.disk_usage(HOME).free) < _FREE_BYTES:
        raise RealError(f"{HOME} has {free >> 20} MiB free, a node needs {_FREE_BYTES >> 20}", "Make room.")


def create(name: str, host_directory: Path) -> None:
    """A new cluster of that name, powered on. What a killed run left under the name is removed first."""
    require_machine()
    if any(host_directory.is_relative_to(place) for place in _HIDDEN):
        raise RealError(f"{host_directory} cannot be shared with a node", f"Choose one outside {', '.join(_HIDDEN)}.")
    with _locked(SLOTS):
        if (slot := find(name)) is not None:
            if power.is_running(slot):
                raise RealError(f"a cluster {name!r} is running already", f"Run: python -m tests.real delete {name}")
            _empty(slot)
        slot = _free_slot()
        (slot.directory / "logs").mkdir(parents=True, exist_ok=True)
        host_directory.mkdir(parents=True, exist_ok=True)
        slot.write_record(Record.new(name, str(host_directory), owner=power.owner()))
    power_on(name)


def power_on(name: str) -> None:
    """The cluster as it was, or empty if it was wiped; returns when its node is ready. Already on is success."""
    slot = _existing(name)
    with _locked(slot.directory):
        if not power.is_running(slot):
            require_machine()
            power.cut(slot)  # what a machine that died by itself has left
            if not (slot.directory / "pki").exists():
                _new_identity(slot)
            write_configuration(slot)
            slot.count_boot()
            power.boot(slot)
        _until(slot, "the API server", lambda: requests.answers(slot, "/readyz"))
        _uncordon(slot)
        _until(slot, "the node", lambda: _node_is_ready(slot))
        _until(slot, "a default ServiceAccount", lambda: requests.answers(slot, _ACCOUNT))


def power_off(name: str, *, drain: bool = False) -> None:
    """Everything off at once; with ``drain`` its pods are deleted first, as k3d does. Already off is success."""
    slot = _existing(name)
    with _locked(slot.directory):
        if drain and power.is_running(slot):
            _drain(slot)
        power.wall_off(slot)
        power.cut(slot)


def wipe(name: str) -> None:
    """Off, and everything but the host directory forgotten: the next power-on makes another cluster of the name."""
    slot = _existing(name)
    with _locked(slot.directory):
        power.wall_off(slot)
        power.cut(slot)
        successor = slot.record().successor()
        _forget(slot)
        slot.write_record(successor)


def delete(name: str) -> None:
    """Off and gone; the host directory stays. No such cluster is success."""
    with _locked(SLOTS):
        if (slot := find(name)) is not None:
            power.cut(slot)
            _empty(slot)


_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


def _existing(name: str) -> Slot:
    slot = find(name)
    if slot is None:
        raise RealError(f"no cluster {name!r}", f"Run: python -m tests.real create {name} --host-directory DIRECTORY")
    return slot


def _free_slot() -> Slot:
    for slot in slots():
        owner = slot.record().owner
        if owner is not None and not Path(f"/proc/{owner}").exists() and not power.is_running(slot):
            power.cut(slot)
            _empty(slot)
    taken = {slot.number for slot in slots()}
    for number in range(MOST_SLOTS):
        slot = Slot(number)
        if number not in taken and not power.is_running(slot):
            return slot
    raise RealError(f"all {MOST_SLOTS} slots are taken", "Run: python -m tests.real list")


def _new_identity(slot: Slot) -> None:
    made = slot.directory / "pki.new"
    shutil.rmtree(made, ignore_errors=True)
    make_pki(made, slot.node_address, SERVICE_ADDRESS)
    write_kubeconfigs(made, slot.server)
    made.rename(slot.directory / "pki")
    (slot.directory / "fresh").touch()


def _until(slot: Slot, what: str, condition: Callable[[], bool]) -> None:
    until = time.monotonic() + _READY_SECONDS
    while not condition():
        if not power.is_running(slot):
            last = (slot.directory / "logs" / "machine.log").read_text().strip().rpartition("\n")[2]
            raise RealError(f"the machine of {slot.record().name!r} ended: {last}", f"Logs: {slot.directory / 'logs'}")
        if time.monotonic() > until:
            raise RealError(f"{what} was not there within {_READY_SECONDS} s", f"Logs: {slot.directory / 'logs'}")
        time.sleep(0.03)


def _node_is_ready(slot: Slot) -> bool:
    node = requests.get(slot, f"/api/v1/nodes/{NODE}")
    conditions = node["status"].get("conditions", []) if node else []
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _forget(slot: Slot) -> None:
    """Everything of the cluster; the store of images stays with the slot."""
    for name in ("pki", "etcd", "kubelet", "pod-logs", "conf"):
        shutil.rmtree(slot.directory / name, ignore_errors=True)
    # The runtime's own memory of pods, without which it would try to bring them up again.
    shutil.rmtree(slot.directory / "containerd" / "io.containerd.grpc.v1.cri", ignore_errors=True)


def _empty(slot: Slot) -> None:
    _forget(slot)
    power.open_up(slot)
    for name in ("cluster.json", "boots", "alive", "pid"):
        (slot.directory / name).unlink(missing_ok=True)


def _drain(slot: Slot) -> None:
    """As k3d's own entrypoint does on a stop; what is not gone in time is killed with the rest."""
    command = [str(binary("kubectl")), "--kubeconfig", str(slot.directory / "pki" / "admin.kubeconfig"), "drain", NODE]
    command += ["--force", "--delete-emptydir-data", "--ignore-daemonsets", "--disable-eviction"]
    with contextlib.suppress(subprocess.TimeoutExpired):
        subprocess.run(command, capture_output=True, timeout=_DRAIN_SECONDS, check=False)


def _uncordon(slot: Slot) -> None:
    """What a drain leaves behind; and CoreDNS for a cluster that has none yet."""
    node = requests.get(slot, f"/api/v1/nodes/{NODE}")
    if node and node["spec"].get("unschedulable"):
        command = [str(binary("kubectl")), "--kubeconfig", str(slot.directory / "pki" / "admin.kubeconfig")]
        subprocess.run([*command, "uncordon", NODE], capture_output=True, timeout=_DRAIN_SECONDS, check=False)
    if node is None:
        install_dns(slot)


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """One change at a time; the lock goes with the process that holds it."""
    directory.mkdir(parents=True, exist_ok=True)
    until = time.monotonic() + _LOCK_SECONDS
    with (directory / "lock").open("w") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise RealError(f"{directory} is busy with another change") from None
                time.sleep(0.05)
        yield
