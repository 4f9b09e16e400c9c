"""Resident memory by component, from /proc: pages that processes share count for each of them."""

from pathlib import Path

from tests.real.instance import RealInstance

#: Names as the kernel keeps them, cut at 15 characters.
COMPONENTS = (
    "kube-apiserver", "etcd", "kube-controller", "kube-scheduler", "kubelet", "kube-proxy", "containerd", "coredns",
    "velero", "minio", "store",
)  # fmt: skip


def memory_of_components(instance: RealInstance, service_pid: int) -> dict[str, int]:
    """MiB of every component of the node, and of the service itself."""
    keeper = int((instance.slot.directory / "pid").read_text())
    found = {"kecs-state": _resident(service_pid)}
    for pid in _descendants(keeper):
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        component = next((each for each in COMPONENTS if name.startswith(each)), None)
        if component is not None:
            found[component] = found.get(component, 0) + _resident(pid)
    return dict(sorted(found.items(), key=lambda entry: -entry[1]))


def _descendants(pid: int) -> list[int]:
    """Every process below another; one that ends meanwhile is left out."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in task.read_text().split():
            found += [int(child), *_descendants(int(child))]
    return found


def _resident(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) >> 10
    return 0
