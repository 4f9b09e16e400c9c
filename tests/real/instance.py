"""An instance on a real cluster: the objects KECS and its user would have made, run from images this machine has."""

import asyncio
import json
from pathlib import Path
from typing import Any

from app.ports import ClusterAccess
from app.sandbox.components import collection_path, component_manifests
from app.sandbox.seed import FINISHED, custom_resource_manifests, seed_manifests
from tests.instances import NAME
from tests.real import cluster, power, requests
from tests.real.commands import command_settings
from tests.real.errors import RealError
from tests.real.images import BUSYBOX, STACK_IMAGES
from tests.real.slot import NODE_PATH, Slot, find
from tests.service import CONFIGURED

_SEEDING_SECONDS = 20


class RealInstance:
    """A real Kubernetes node, switched through the driver ``command``."""

    serve = CONFIGURED
    objects_show_on_host = True

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir
        commands = command_settings().model_dump(include={"list", "state", "start", "stop", "access", "mounts"})
        templates = {f"COMMAND__{verb.upper()}": json.dumps(argv) for verb, argv in commands.items()}
        images = {f"STACK__IMAGES__{role.upper()}": image for role, image in STACK_IMAGES.model_dump().items()}
        self.settings = {"DRIVER": "command"} | templates | images

    async def create(self) -> None:
        """With KECS's objects in it."""
        await asyncio.to_thread(cluster.create, NAME, self.state_dir / "instances" / NAME / "data")
        await self._deploy_kecs()

    async def seed(self) -> None:
        """The sandbox's seed."""
        await self.apply(seed_manifests())

    async def seed_custom_resources(self) -> None:
        """Accepted as soon as their type is served."""
        await self.apply(custom_resource_manifests())

    async def recreate(self) -> None:
        """As KECS does it."""
        await asyncio.to_thread(cluster.wipe, NAME)
        await self.power_on()
        await self._deploy_kecs()

    async def power_on(self) -> None:
        """Without the service."""
        await asyncio.to_thread(cluster.power_on, NAME)

    async def power_off(self) -> None:
        """Without the service."""
        await asyncio.to_thread(cluster.power_off, NAME)

    def state(self) -> str:
        """By the machine's lock."""
        return "running" if power.is_running(self.slot) else "stopped"

    def access(self) -> ClusterAccess:
        """The administrator's kubeconfig."""
        return ClusterAccess(self.slot.kubeconfig())

    def volume_directory(self, pod_uid: str, volume: str) -> Path:
        """An emptyDir lies there by its name; a claim's volume is mounted into the machine, and lies where it is."""
        directory = self.slot.directory / "kubelet" / "pods" / pod_uid / "volumes"
        if (named := directory / "kubernetes.io~empty-dir" / volume).exists():
            return named
        (local,) = (directory / "kubernetes.io~local-volume").iterdir()
        return self.state_dir / "instances" / NAME / "data" / local.name

    async def delete(self) -> None:
        """Whatever state it is in."""
        await asyncio.to_thread(cluster.delete, NAME)

    @property
    def slot(self) -> Slot:
        """Where it runs."""
        slot = find(NAME)
        if slot is None:
            raise RealError(f"no cluster {NAME!r}")
        return slot

    async def _deploy_kecs(self) -> None:
        await self.apply(component_manifests(Path(NODE_PATH)))

    async def apply(self, manifests: list[dict[str, Any]]) -> None:
        """Objects as they would be made, with containers this machine can run."""
        for manifest in manifests:
            path = f"{collection_path(manifest)}/{manifest['metadata']['name']}"
            async with asyncio.timeout(_SEEDING_SECONDS):
                while not await asyncio.to_thread(requests.apply, self.slot, path, runnable(manifest)):
                    await asyncio.sleep(0.05)


def runnable(manifest: dict[str, Any]) -> dict[str, Any]:
    """The same with busybox in every container: it listens where a port is declared, ends where the seed says so."""
    spec = manifest.get("spec") or {}
    pod = spec if manifest["kind"] == "Pod" else (spec.get("template") or {}).get("spec") or {}
    finished = FINISHED.items() <= (manifest["metadata"].get("annotations") or {}).items()
    for container in pod.get("containers") or []:
        port = next((each["containerPort"] for each in container.get("ports") or []), None)
        serving = ["httpd", "-f", "-p", str(port)] if port else ["sleep", "86400"]
        container |= {"image": BUSYBOX, "command": ["true"] if finished else serving}
    if pod:
        pod["terminationGracePeriodSeconds"] = 0
    return manifest
