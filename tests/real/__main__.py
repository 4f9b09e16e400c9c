"""Real clusters by hand, and the six verbs of the ``command`` power driver (docs/drivers.md)."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.real import power
from tests.real.errors import RealError
from tests.real.slot import NODE_PATH, Slot, find, slots

# The rest is imported where it is used: a service asks for states and access often, and its own pace is measured.


def build(_: argparse.Namespace) -> None:
    """Binaries and images, from pinned sources."""
    from tests.real.binaries import build_all
    from tests.real.images import images

    build_all()
    for image in images():
        image.archive()


def unbuilt(_: argparse.Namespace) -> dict[str, Any]:
    """How many seconds ``build`` would take, about, on two cores of its own."""
    from tests.real.binaries import BUILDS

    return {"seconds": sum(build.seconds for build in BUILDS if not build.place.exists())}


def versions(_: argparse.Namespace) -> dict[str, Any]:
    """What is real here, for the head of a record."""
    from tests.real.binaries import VERSIONS

    return VERSIONS


def create(arguments: argparse.Namespace) -> None:
    """A new cluster, powered on."""
    from tests.real import cluster

    cluster.create(arguments.name, arguments.host_directory.absolute())


def wipe(arguments: argparse.Namespace) -> None:
    """Off and empty; the host directory is kept."""
    from tests.real import cluster

    cluster.wipe(arguments.name)


def delete(arguments: argparse.Namespace) -> None:
    """Off and gone; the host directory is kept."""
    from tests.real import cluster

    cluster.delete(arguments.name)


def list_clusters(_: argparse.Namespace) -> dict[str, Any]:
    """Every cluster with its state."""
    return {"clusters": {slot.record().name: _state(slot) for slot in slots()}}


def state(arguments: argparse.Namespace) -> dict[str, Any]:
    """State of one cluster."""
    slot = find(arguments.name)
    return _state(slot) if slot else {"state": "absent", "off_epoch": None}


def start(arguments: argparse.Namespace) -> None:
    """Power on."""
    from tests.real import cluster

    cluster.power_on(arguments.name)


def stop(arguments: argparse.Namespace) -> None:
    """Power off."""
    from tests.real import cluster

    cluster.power_off(arguments.name, drain=arguments.drain == "true")


def access(arguments: argparse.Namespace) -> dict[str, Any]:
    """The administrator's kubeconfig."""
    return {"kubeconfig": _running(arguments.name).kubeconfig()}


def mounts(arguments: argparse.Namespace) -> dict[str, Any]:
    """The host directory and where the node sees it."""
    slot = find(arguments.name)
    if slot is None:
        raise RealError(f"no cluster {arguments.name!r}")
    return {"mounts": [{"node_path": NODE_PATH, "host_path": slot.record().host_directory}]}


def _state(slot: Slot) -> dict[str, Any]:
    state = "running" if power.is_running(slot) else "stopped"
    return {"state": state, "off_epoch": f"{state}-{slot.boots()}"}


def _running(name: str) -> Slot:
    slot = find(name)
    if slot is None or not power.is_running(slot):
        raise RealError(f"the cluster {name!r} is not running")
    return slot


_VERBS: dict[str, Callable[[argparse.Namespace], dict[str, Any] | None]] = {
    "build": build, "unbuilt": unbuilt, "versions": versions, "create": create, "wipe": wipe, "delete": delete,
    "list": list_clusters, "state": state, "start": start, "stop": stop, "access": access, "mounts": mounts,
}  # fmt: skip


def main() -> int:
    """Run one verb; JSON to stdout, problems to stderr."""
    parser = argparse.ArgumentParser(prog="python -m tests.real", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name, function in _VERBS.items():
        verb = verbs.add_parser(name, help=(function.__doc__ or "").partition("\n")[0])
        if name not in {"build", "unbuilt", "versions", "list"}:
            verb.add_argument("name")
        if name == "create":
            verb.add_argument("--host-directory", type=Path, required=True)
        if name == "stop":
            drain = {"choices": ["true", "false"], "nargs": "?", "const": "true", "default": "false"}
            verb.add_argument("--drain", **drain, help="delete the pods first, as k3d does")
    arguments = parser.parse_args()
    try:
        answer = _VERBS[arguments.verb](arguments)
    except RealError as error:
        print(error, file=sys.stderr)
        return 1
    if answer is not None:
        print(json.dumps(answer))
    return 0


if __name__ == "__main__":
    sys.exit(main())
