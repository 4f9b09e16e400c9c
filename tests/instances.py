"""One instance's cluster as a test sees it, whoever runs it; its host directory lies below ``state_dir``."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from app.ports import ClusterAccess
from app.sandbox import supervisor
from app.sandbox.seed import seed, seed_custom_resources
from tests.service import SANDBOX

#: Of this run, since real clusters of two runs must not meet.
NAME = f"demo-{os.getpid()}"


class Instance(Protocol):
    """The cluster called ``NAME``."""

    state_dir: Path
    #: How the service is told of this world: arguments of ``serve`` before the directory, and settings.
    serve: Sequence[str]
    settings: Mapping[str, str]
    #: Whether the store keeps each object under its own path on the host, so that backups show without asking it.
    objects_show_on_host: bool

    async def create(self) -> None:
        """A new cluster with KECS in it, running."""

    async def seed(self) -> None:
        """What its user would have made in some weeks."""

    async def seed_custom_resources(self) -> None:
        """A new CustomResourceDefinition and five objects of it."""

    async def recreate(self) -> None:
        """Somebody makes the cluster anew: same name, another identity, the host directory kept; running."""

    async def power_on(self) -> None:
        """By somebody's hand."""

    async def power_off(self) -> None:
        """By somebody's hand."""

    def state(self) -> str:
        """Whether it runs."""

    def access(self) -> ClusterAccess:
        """As its administrator."""

    def volume_directory(self, pod_uid: str, volume: str) -> Path:
        """Where the node keeps that volume of a pod, on this machine."""

    async def delete(self) -> None:
        """Gone, its host directory too; success when there is none."""


class SandboxInstance:
    """A cluster of the embedded sandbox."""

    serve = SANDBOX
    settings: Mapping[str, str] = {}
    objects_show_on_host = False

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    async def create(self) -> None:
        """With KECS's stand-in."""
        await supervisor.create(self.state_dir, NAME)

    async def seed(self) -> None:
        """About a hundred objects."""
        await seed(self.state_dir, NAME)

    async def seed_custom_resources(self) -> None:
        """Through the sandbox's own client."""
        await seed_custom_resources(self.state_dir, NAME)

    async def recreate(self) -> None:
        """As KECS does it."""
        await supervisor.delete(self.state_dir, NAME)
        await supervisor.create(self.state_dir, NAME)

    async def power_on(self) -> None:
        """Without the service."""
        await supervisor.power_on(self.state_dir, NAME)

    async def power_off(self) -> None:
        """Without the service."""
        await supervisor.power_off(self.state_dir, NAME)

    def state(self) -> str:
        """By the processes that live."""
        return supervisor.state(self.state_dir, NAME).state

    def access(self) -> ClusterAccess:
        """The kubeconfig the API server has written."""
        return ClusterAccess(supervisor.kubeconfig(self.state_dir, NAME))

    def volume_directory(self, pod_uid: str, volume: str) -> Path:
        """Below the cluster's own directory."""
        return supervisor.cluster_directory(self.state_dir, NAME) / "pods" / pod_uid / "volumes" / volume

    async def delete(self) -> None:
        """All of its processes."""
        await supervisor.delete(self.state_dir, NAME)
