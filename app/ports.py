"""What the service needs of the outside that differs between worlds: turning clusters on and off.

Everything else (Kubernetes, S3, Velero) is the same wire protocol everywhere and needs no port.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol


class PowerState(StrEnum):
    """What the power driver knows of a cluster. ``UNKNOWN`` means it could not find out, never "absent"."""

    RUNNING = "running"
    STOPPED = "stopped"
    HALF_OFF = "half-off"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class ClusterStatus:
    """State of one cluster; ``off_epoch`` changes whenever anybody powers it on or off."""

    state: PowerState
    off_epoch: str | None = None
    detail: str = ""


@dataclass(frozen=True)
class Mount:
    """A host directory that a node sees: what lies below ``node_path`` there lies below ``host_path`` here."""

    node_path: str
    host_path: str


@dataclass(frozen=True)
class ToolCheck:
    """A program that a driver needs: what it is here, or what is wrong with it and what to do then."""

    name: str
    ok: bool
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class ClusterAccess:
    """A kubeconfig document made by a driver of ours; may hold keys, so it is never printed."""

    kubeconfig: dict[str, Any] = field(repr=False)


class Clusters(Protocol):
    """A power driver. Every verb takes the instance's name, not the cluster's, and is idempotent.

    Raises ``ClusterCommandError`` when the tool behind it fails, ``ClusterStateUnknown`` when it cannot tell.
    """

    async def state(self, instance: str) -> ClusterStatus:
        """State of one cluster; never raises for an unknown name (that is ``ABSENT``)."""

    async def start(self, instance: str) -> None:
        """Power on; returns when the driver's own start has returned. Already on is success."""

    async def stop(self, instance: str, *, drain: bool) -> None:
        """Power off, crash-consistent or after a drain; returns when it is off. Already off is success."""

    async def access(self, instance: str) -> ClusterAccess:
        """A fresh kubeconfig of a running cluster."""

    async def mounts(self, instance: str) -> list[Mount] | None:
        """Host directories the node sees; None where the driver cannot tell (external storage only)."""

    async def list(self) -> dict[str, ClusterStatus]:
        """Every cluster the driver knows, by instance name."""

    async def import_images(self, instance: str, references: Sequence[str]) -> Sequence[str]:
        """Bring those of these images that this machine has onto the nodes, without a network; gives which."""

    async def tools(self) -> Sequence[ToolCheck]:
        """The programs behind it; never raises, since a missing one is what is asked for."""
