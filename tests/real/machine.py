"""The machine of a node: process 1 of namespaces of its own, so that ending it ends everything, at once and for sure.

Mounts, network, firewall rules and every process of the cluster live in those namespaces and vanish with them. The
machine ends when one of its components ends, when it is told to, or when the process that wanted it is gone.
Started by ``cluster.power_on`` only: ``machine SLOT OWNER``, the owner as an inherited pidfd or -1.
"""

import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.real import components
from tests.real.components import Component
from tests.real.errors import RealError
from tests.real.images import images
from tests.real.requests import answers
from tests.real.slot import NODE_PATH, Slot

_LINK_SECONDS = 10
_READY_SECONDS = 60
_IMPORT_SECONDS = 120
_LOOK_MILLISECONDS = 200


class Machine:
    """One running node."""

    def __init__(self, slot: Slot) -> None:
        self._slot = slot
        self._logs = slot.directory / "logs"
        self._running: dict[int, str] = {}

    def boot(self) -> None:
        """Bring everything up in order; returns when the API server is ready and the rest is started."""
        self._mount()
        self._network()
        self._control_groups()
        self._start(components.containerd(self._slot))
        self._start(components.etcd(self._slot))
        self._start(components.api_server(self._slot))
        self._load_images()
        self._until("the API server", lambda: answers(self._slot, "/readyz"))
        for component in (components.controllers, components.scheduler, components.kubelet, components.proxy):
            self._start(component(self._slot))

    def watch(self, owner: int) -> str:
        """Reap, until there is a reason to end; returns it. ``owner``: a pidfd, or -1."""
        poll = select.poll()
        if owner >= 0:
            poll.register(owner, select.POLLIN)
        while True:
            if poll.poll(_LOOK_MILLISECONDS):
                return "its owner is gone"
            while ended := self._reap():
                if ended in self._running:
                    return f"{self._running[ended]} ended"

    def _reap(self) -> int:
        try:
            return os.waitpid(-1, os.WNOHANG)[0]
        except ChildProcessError:
            return 0

    def _mount(self) -> None:
        """Private places for what nodes keep in fixed ones; containers' mounts must reach the kubelet and back."""
        directory = self._slot.directory
        _run("mount", "--make-rshared", "/")
        for place in ("/run", "/mnt", "/var/log", "/var/lib"):
            _run("mount", "-t", "tmpfs", "-o", "mode=0755", "tmpfs", place)
        for source, place in (
            (directory / "kubelet", "/var/lib/kubelet"),
            (directory / "pod-logs", "/var/log/pods"),
            (Path(self._slot.record().host_directory), NODE_PATH),
        ):
            source.mkdir(parents=True, exist_ok=True)
            Path(place).mkdir(parents=True)
            _run("mount", "--bind", str(source), place)
        Path("/run/containerd").mkdir()

    def _network(self) -> None:
        """The other end of the wire comes from outside."""
        self._until("the wire to the host", lambda: Path("/proc/self/net/dev").read_text().find("eth0:") >= 0)
        _run("ip", "link", "set", "lo", "up")
        _run("ip", "address", "add", f"{self._slot.node_address}/24", "dev", "eth0")
        _run("ip", "link", "set", "eth0", "up")
        _run("ip", "route", "add", "default", "via", self._slot.host_address)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        # A connection whose both ends were killed would keep the network, and the link in it, for minutes.
        Path("/proc/sys/net/ipv4/tcp_orphan_retries").write_text("1")

    def _control_groups(self) -> None:
        for controller in Path("/sys/fs/cgroup").iterdir():
            if not (controller / "cgroup.procs").exists():
                continue
            group = controller / self._slot.cgroup
            group.mkdir(exist_ok=True)
            for name in ("cpuset.cpus", "cpuset.mems"):
                if (group / name).exists():
                    (group / name).write_text((controller / name).read_text())

    def _load_images(self) -> None:
        """Import what this slot's store lacks; drop the containers of a cluster that was wiped."""
        self._until("containerd", lambda: _ctr("version").returncode == 0)
        marker = self._slot.directory / "fresh"
        if marker.exists():
            for container in _ctr("containers", "list", "-q").stdout.split():
                _ctr("containers", "rm", container)
            marker.unlink()
        known = self._slot.directory / "containerd" / "imported"
        imported = set(known.read_text().split()) if known.exists() else set()
        for image in images():
            archive = image.archive()
            if archive.name in imported:
                continue
            result = _ctr("images", "import", str(archive))
            if result.returncode != 0:
                raise RealError(f"containerd did not take {archive.name}: {result.stderr[-500:]}")
            with known.open("a") as names:
                names.write(f"{archive.name}\n")

    def _start(self, component: Component) -> None:
        with (self._logs / f"{component.name}.log").open("ab") as log:
            process = subprocess.Popen(
                component.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=component.environment
            )
        self._running[process.pid] = component.name

    def _until(self, what: str, condition: Callable[[], bool]) -> None:
        until = time.monotonic() + _READY_SECONDS
        while not condition():
            if time.monotonic() > until:
                raise RealError(f"{what} was not there within {_READY_SECONDS} s", f"Look into {self._logs}.")
            time.sleep(0.02)


def _run(*command: str) -> None:
    result = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    if result.returncode != 0:
        raise RealError(f"{' '.join(command)}: {result.stderr.strip()}")


def _ctr(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["ctr", "-a", components.CONTAINERD_SOCKET, "-n", "k8s.io", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=_IMPORT_SECONDS, check=False)


def main(number: str, owner: str) -> None:
    """Boot, then watch to the end; what went wrong is the last line of the machine's log."""
    machine = Machine(Slot(int(number)))
    try:
        machine.boot()
        reason = machine.watch(int(owner))
    except RealError as error:
        reason = str(error)
    print(f"the machine ends: {reason}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
