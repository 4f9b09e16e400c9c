"""A slot: the directory, addresses and record of one real cluster; several slots can run side by side."""

import json
import os
import random
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from tests.real.places import SLOTS

MOST_SLOTS = 8
POD_NETWORK = "10.244.0.0/16"
SERVICE_NETWORK = "10.96.0.0/16"
DNS_ADDRESS = "10.96.0.10"
NODE = "node"
#: Where the node sees the host directory; another path than on the host, so that nobody takes one for the other.
NODE_PATH = "/mnt/data"
API_PORTS = range(20000, 30000)


@dataclass(frozen=True)
class Record:
    """What a cluster is; ``api_port`` changes with its identity."""

    name: str
    host_directory: str
    api_port: int
    owner: int | None = None
    """The process without which nobody wants the cluster; its slot is free again when that is gone."""

    @classmethod
    def new(cls, name: str, host_directory: str, *, owner: int | None) -> "Record":
        """A cluster that never ran."""
        return cls(name, host_directory, random.choice(API_PORTS), owner)  # noqa: S311 - only to differ

    def successor(self) -> "Record":
        """Another cluster of the same name and host directory; it never has the port of this one."""
        others = [port for port in API_PORTS if port != self.api_port]
        return replace(self, api_port=random.choice(others))  # noqa: S311 - only to differ


@dataclass(frozen=True)
class Slot:
    """One slot, by number; whatever is below ``directory`` but ``containerd`` belongs to the cluster in it."""

    number: int

    @property
    def directory(self) -> Path:
        """Everything of this slot."""
        return SLOTS / str(self.number)

    @property
    def cgroup(self) -> str:
        """The control group of all its pods, below each controller."""
        return f"kecs-real-{self.number}"

    @property
    def link(self) -> str:
        """The host's end of the wire into the node."""
        return f"kecs-real-{self.number}"

    @property
    def node_address(self) -> str:
        """The node's address on that wire."""
        return f"192.168.{240 + self.number}.1"

    @property
    def network(self) -> str:
        """The two ends of that wire."""
        return f"192.168.{240 + self.number}.0/24"

    @property
    def host_address(self) -> str:
        """The host's address on that wire."""
        return f"192.168.{240 + self.number}.2"

    @property
    def server(self) -> str:
        """The API server's URL."""
        return f"https://{self.node_address}:{self.record().api_port}"

    def record(self) -> Record:
        """The cluster in this slot; raises ``FileNotFoundError`` when it is empty."""
        return Record(**json.loads((self.directory / "cluster.json").read_text()))

    def kubeconfig(self) -> dict[str, Any]:
        """The administrator's, with everything inline."""
        document: dict[str, Any] = json.loads((self.directory / "pki" / "admin.kubeconfig").read_text())
        return document

    def write_record(self, record: Record) -> None:
        """Replace the record."""
        write_json(self.directory / "cluster.json", asdict(record))

    def boots(self) -> int:
        """How often this cluster was powered on."""
        path = self.directory / "boots"
        return int(path.read_text()) if path.exists() else 0

    def count_boot(self) -> None:
        """One more."""
        (self.directory / "boots").write_text(str(self.boots() + 1))


def find(name: str) -> Slot | None:
    """The slot of a cluster."""
    return next((slot for slot in slots() if slot.record().name == name), None)


def slots() -> list[Slot]:
    """Every slot that holds a cluster."""
    found = (Slot(number) for number in range(MOST_SLOTS))
    return [slot for slot in found if (slot.directory / "cluster.json").exists()]


def write_json(path: Path, document: Any) -> None:
    """Whole or not at all."""
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    unfinished.write_text(json.dumps(document, indent=1))
    unfinished.rename(path)
