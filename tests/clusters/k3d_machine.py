"""A machine with the playing ``k3d`` and ``docker`` on it, and a KECS cluster as recorded."""

import json
import sys
from pathlib import Path
from typing import Any

from app.clusters.k3d import K3dClusters
from app.settings import K3dSettings
from tests.clusters import k3d_program

SERVER, BALANCER, TOOLS = "k3d-kecs-demo-server-0", "k3d-kecs-demo-serverlb", "k3d-kecs-demo-tools"
DATA = "/home/u/.kecs/instances/demo/data"
NEVER = "0001-01-01T00:00:00Z"


def container(name: str, role: str, status: str, cluster: str = "kecs-demo") -> dict[str, Any]:
    """An entry of the world, on or off for the first time."""
    return {
        "name": name, "role": role, "status": status, "cluster": cluster, "id": f"{len(name):064x}", "code": 0,
        "started": "2026-11-23T05:00:00.1Z", "finished": NEVER, "port": 32767, "address": "192.0.2.2",
        "binds": [DATA] if role == "server" else [], "publishes": "30080/tcp" if role == "server" else "6443/tcp",
    }  # fmt: skip


class K3dMachine:
    """Executables in a directory, and the file they play from."""

    def __init__(self, directory: Path) -> None:
        self._world = directory / "world.json"
        self._calls = directory / "calls"
        for program in ("k3d", "docker"):
            path = directory / program
            play = f'"{sys.executable}" -I -S "{k3d_program.__file__}" "{self._world}" {program}'
            path.write_text(f'#!/bin/sh\nexec {play} "$@"\n')
            path.chmod(0o700)
        self.settings = K3dSettings(
            program=str(directory / "k3d"), docker_program=str(directory / "docker"), stop_seconds=5
        )
        self.clusters = K3dClusters(self.settings)
        self._write(
            {
                "daemon": "up", "clock": 0, "trouble": {}, "containers": {}, "authority": "Y2E=",
                "pace": 0, "sandbox": None, "images": [],
            }
        )  # fmt: skip

    def change(self, **changed: Any) -> None:
        """Set what the machine is like: ``daemon``, ``trouble``."""
        self._write(self.world | changed)

    def put(self, server: str | None = "running", balancer: str | None = "running", **others: str) -> None:
        """Containers with these statuses; None means that there is no such container."""
        found = {}
        for name, role, status in ((SERVER, "server", server), (BALANCER, "loadbalancer", balancer)):
            if status is not None:
                found[name] = container(name, role, status)
        for name, status in others.items():
            found[name] = container(name, "", status)
        self.change(containers=found)

    def bend(self, name: str, **changed: Any) -> None:
        """Make one container differ."""
        containers = self.world["containers"]
        containers[name] |= changed
        self.change(containers=containers)

    def status(self, name: str) -> str:
        """Of one container now."""
        return str(self.world["containers"][name]["status"])

    def calls(self, beginning: str) -> list[str]:
        """The commands so far that begin so."""
        lines = self._calls.read_text().splitlines() if self._calls.exists() else []
        return [line for line in lines if line.startswith(beginning)]

    @property
    def world(self) -> dict[str, Any]:
        """Everything there is."""
        found: dict[str, Any] = json.loads(self._world.read_text())
        return found

    def _write(self, world: dict[str, Any]) -> None:
        self._world.write_text(json.dumps(world))
