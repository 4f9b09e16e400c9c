"""Real clusters themselves: powered, wiped, side by side, and gone without a trace."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.real import cluster, power, requests
from tests.real.errors import RealError
from tests.real.slot import MOST_SLOTS, NODE, Slot, find, slots

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]
PROJECT = Path(__file__).parents[2]
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "alone"},
    "spec": {
        "terminationGracePeriodSeconds": 0,
        "containers": [{"name": "sleep", "image": "docker.io/library/busybox:1.35", "command": ["sleep", "3600"]}],
    },
}
PODS = "/api/v1/namespaces/default/pods"


@contextmanager
def running(name: str, directory: Path) -> Iterator[Slot]:
    """A cluster of this test run's own."""
    try:
        cluster.create(name, directory / name)
        slot = find(name)
        assert slot is not None
        yield slot
    finally:
        cluster.delete(name)


def verb(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """The command as a person or a power driver calls it."""
    return subprocess.run(
        [sys.executable, "-m", "tests.real", *arguments],
        cwd=PROJECT, env=os.environ | environment, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


def identity(slot: Slot) -> str:
    """By which the service knows one cluster from another."""
    uid: str = requests.get(slot, "/api/v1/namespaces/kube-system")["metadata"]["uid"]
    return uid


def phase_of_pod(slot: Slot) -> str:
    """Of the naked pod; empty when it is not there."""
    pod = requests.get(slot, f"{PODS}/alone")
    return pod["status"]["phase"] if pod else ""


def until(condition: "Any", seconds: float = 30) -> None:
    """Return as soon as it holds."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.05)


def with_pod(slot: Slot) -> str:
    """A naked pod that runs; its UID."""
    assert requests.apply(slot, f"{PODS}/alone", POD)
    until(lambda: phase_of_pod(slot) == "Running")
    uid: str = requests.get(slot, f"{PODS}/alone")["metadata"]["uid"]
    return uid


def test_a_power_failure_keeps_identity_and_pods(tmp_path: Path) -> None:
    """As with k3d's node killed and started again."""
    with running("failure", tmp_path) as slot:
        before, pod = identity(slot), with_pod(slot)
        off = json.loads(verb("state", "failure").stdout)
        cluster.power_off("failure")
        assert not requests.answers(slot, "/readyz")
        assert json.loads(verb("state", "failure").stdout)["off_epoch"] != off["off_epoch"]
        cluster.power_on("failure")
        assert identity(slot) == before
        until(lambda: phase_of_pod(slot) == "Running")
        assert requests.get(slot, f"{PODS}/alone")["metadata"]["uid"] == pod


def test_a_drain_deletes_pods_without_a_controller(tmp_path: Path) -> None:
    """As k3d's own stop does; the node is usable again afterwards."""
    with running("drain", tmp_path) as slot:
        with_pod(slot)
        cluster.power_off("drain", drain=True)
        cluster.power_on("drain")
        assert phase_of_pod(slot) == ""
        assert not requests.get(slot, f"/api/v1/nodes/{NODE}")["spec"].get("unschedulable")


def test_a_wiped_cluster_comes_back_as_another_with_its_host_directory(tmp_path: Path) -> None:
    """New authority, port and identity; nothing but the files on the host is kept."""
    with running("wiped", tmp_path) as slot:
        before, port, authority = identity(slot), slot.record().api_port, (slot.directory / "pki/ca.crt").read_bytes()
        with_pod(slot)
        (tmp_path / "wiped" / "kept").write_text("kept")
        cluster.wipe("wiped")
        cluster.power_on("wiped")
        assert identity(slot) != before
        assert slot.record().api_port != port
        assert (slot.directory / "pki/ca.crt").read_bytes() != authority
        assert phase_of_pod(slot) == ""
        assert (tmp_path / "wiped" / "kept").read_text() == "kept"


def test_two_clusters_do_not_meet(tmp_path: Path) -> None:
    """Side by side, each with a pod of the same name; one goes, the other stays."""
    with running("left", tmp_path) as left:
        with running("right", tmp_path) as right:
            assert identity(left) != identity(right)
            assert with_pod(left) != with_pod(right)
        assert requests.answers(left, "/readyz")
        assert phase_of_pod(left) == "Running"


def test_a_killed_owner_leaves_nothing_behind(tmp_path: Path) -> None:
    """No process, mount, link, firewall rule or namespace; the next run finds the slot free."""
    before = traces()
    with subprocess.Popen(["sleep", "600"]) as owner:
        try:
            made = verb(
                "create", "orphan", "--host-directory", str(tmp_path / "o"), KECS_STATE_REAL_OWNER=str(owner.pid)
            )
            assert made.returncode == 0, made.stderr
            slot = find("orphan")
            assert slot is not None
            with_pod(slot)
            assert traces() != before
        finally:
            owner.send_signal(signal.SIGKILL)
    until(lambda: not power.is_running(slot))
    until(lambda: traces() == before)
    with running("heir", tmp_path):
        assert find("orphan") is None


def test_deleting_leaves_nothing_behind(tmp_path: Path) -> None:
    """The same for an orderly end, control groups included."""
    before = traces(), groups()
    with running("gone", tmp_path) as slot:
        with_pod(slot)
    assert (traces(), groups()) == before


def test_a_second_cluster_of_a_name_is_refused(tmp_path: Path) -> None:
    """With the way to remove the first."""
    with running("twice", tmp_path):
        refused = verb("create", "twice", "--host-directory", str(tmp_path / "other"))
        assert refused.returncode == 1
        assert "running already" in refused.stderr
        assert "delete twice" in refused.stderr


def test_a_taken_link_is_named_and_nothing_stays(tmp_path: Path) -> None:
    """Somebody else's network of that name is left alone."""
    number = min(set(range(MOST_SLOTS)) - {slot.number for slot in slots()})
    link = Slot(number).link
    subprocess.run(["ip", "link", "add", link, "type", "veth", "peer", "name", "kecs-other"], check=True, timeout=10)
    try:
        before = traces()
        with pytest.raises(RealError, match=link):
            cluster.create("blocked", tmp_path)
        until(lambda: traces() == before)
    finally:
        subprocess.run(["ip", "link", "delete", link], check=True, timeout=10)
        with suppress(RealError):
            cluster.delete("blocked")


def test_a_machine_that_dies_says_why(tmp_path: Path) -> None:
    """A component that ends takes the machine with it, and the next verb names it."""
    with running("dying", tmp_path) as slot:
        end_component(slot, "kube-apiserver")
        until(lambda: not power.is_running(slot))
        assert "kube-apiserver ended" in (slot.directory / "logs" / "machine.log").read_text()
        assert json.loads(verb("state", "dying").stdout)["state"] == "stopped"
        cluster.power_on("dying")
        assert requests.answers(slot, "/readyz")


def test_without_root_it_says_so(tmp_path: Path) -> None:
    """Before anything is touched."""
    nobody = ["setpriv", "--reuid=65534", "--clear-groups", sys.executable, "-m", "tests.real"]
    command = [*nobody, "create", "rootless", "--host-directory", str(tmp_path)]
    refused = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=30, check=False)
    assert refused.returncode == 1
    assert "needs root" in refused.stderr


def test_without_go_it_says_so(tmp_path: Path) -> None:
    """Only building needs it, and only once."""
    refused = verb("build", PATH="/nonexistent", KECS_STATE_REAL_HOME=str(tmp_path))
    assert refused.returncode == 1
    assert "Go is not installed" in refused.stderr


def test_too_small_a_disk_is_named(tmp_path: Path) -> None:
    """With what is needed and what is there."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(tmp_path)], check=True, timeout=10)
    try:
        refused = verb("build", KECS_STATE_REAL_HOME=str(tmp_path))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=10)
    assert refused.returncode == 1
    assert "12 GiB" in refused.stderr


def traces() -> dict[str, Any]:
    """What a cluster could leave on this machine, apart from files and control groups."""
    names = (
        "etcd",
        "kube-apiserver",
        "kubelet",
        "containerd",
        "containerd-shim",
        "pause",
        "minio",
        "velero",
        "unshare",
    )
    rules = subprocess.run(["iptables-save"], capture_output=True, text=True, timeout=10, check=True).stdout
    return {
        "processes": sum(1 for pid, name in processes() if name in names),
        "mounts": Path("/proc/self/mounts").read_text(),
        "links": sorted(Path("/sys/class/net").iterdir()),
        "routes": subprocess.run(["ip", "route"], capture_output=True, text=True, timeout=10, check=True).stdout,
        "rules": [line for line in rules.splitlines() if line.startswith("-A")],
        "namespaces": sorted(Path("/run/netns").iterdir()) if Path("/run/netns").exists() else [],
    }


def groups() -> list[Path]:
    """Control groups of clusters."""
    return sorted(Path("/sys/fs/cgroup").glob("*/kecs-real-*"))


def processes() -> Iterator[tuple[int, str]]:
    """Every process that lives; one that is dead and unreaped does not."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            pid, _, rest = path.read_text().partition(" (")
            name, _, state = rest.rpartition(") ")
            if not state.startswith("Z"):
                yield int(pid), name


def end_component(slot: Slot, name: str) -> None:
    """SIGKILL to one program of one machine, found among its descendants."""
    keeper = int((slot.directory / "pid").read_text())
    (machine,) = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
    for child in Path(f"/proc/{machine}/task/{machine}/children").read_text().split():
        if Path(f"/proc/{child}/comm").read_text().strip() == name[:15]:
            os.kill(int(child), signal.SIGKILL)
            return
    raise AssertionError(f"no {name} runs in slot {slot.number}")
