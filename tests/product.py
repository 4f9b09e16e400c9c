"""The product whole: a seeded cluster, the service as a process, and a client of the cluster's API."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS, DEPLOYMENTS, NAMESPACES, PODS
from app.sandbox import supervisor
from app.sandbox.faults import set_faults
from tests.instances import NAME, Instance, SandboxInstance
from tests.service import RunningService, running_service
from tests.waiting import eventually


@dataclass
class Product:
    """One instance and the service that looks after it."""

    instance: Instance
    service: RunningService

    @property
    def state_dir(self) -> Path:
        """Where service and instance keep what is theirs."""
        return self.instance.state_dir

    @asynccontextmanager
    async def kube(self) -> AsyncIterator[KubeClient]:
        """A client of the cluster as it is now."""
        async with await KubeClient.connect(self.instance.access()) as client:
            yield client

    @property
    def bucket(self) -> Path:
        """MinIO's data on the host."""
        return self.state_dir / "instances" / NAME / "data" / "minio-data"

    @property
    def record(self) -> Path:
        """The instance's record."""
        return self.state_dir / "instances" / NAME / "config.json"

    def faults(self, **velero: Any) -> None:
        """Set the fault switches of the Velero emulator, which only the sandbox has."""
        set_faults(supervisor.cluster_directory(self.state_dir, NAME), velero=velero)

    async def stop(self, **backup: Any) -> dict[str, Any]:
        """Stop the instance and give back the ended job."""
        return await self.service.run(f"/instances/{NAME}/stop", {"backup": backup} if backup else None)

    async def start(self, **restore: Any) -> dict[str, Any]:
        """Start the instance and give back the ended job."""
        return await self.service.run(f"/instances/{NAME}/start", {"restore": restore} if restore else None)

    async def back_up(self, **backup: Any) -> dict[str, Any]:
        """Back the running instance up and give back the ended job."""
        return await self.service.run(f"/instances/{NAME}/backups", {"backup": backup} if backup else None)

    async def recreate(self) -> None:
        """Somebody makes the cluster anew: same name, another identity, the host directory kept."""
        await self.instance.recreate()

    def state(self) -> str:
        """Whether the cluster runs."""
        return self.instance.state()

    async def pods(self) -> dict[str, str]:
        """UIDs of all pods outside the stack, by ``namespace/name``."""
        async with self.kube() as kube:
            pods = (await kube.list(PODS)).items
        return {
            f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod["metadata"]["uid"]
            for pod in pods
            if pod["metadata"]["namespace"] != "velero"
        }

    async def velero_replicas(self) -> int:
        """How many pods Velero is to have."""
        async with self.kube() as kube:
            deployment = await kube.get(DEPLOYMENTS, "velero", "velero")
        return int(deployment["spec"]["replicas"])

    async def steps(self, job: dict[str, Any]) -> list[str]:
        """The steps of a job that were begun."""
        events = (await self.service.client.get(f"/jobs/{job['id']}/events")).json()
        return [event["data"]["step"] for event in events if event["type"] == "step.started"]

    async def add_config_map(self, name: str, namespace: str = "default", labels: dict[str, str] | None = None) -> None:
        """One more object of the user's."""
        body = {"metadata": {"name": name, "namespace": namespace, "labels": labels or {}}, "data": {"key": name}}
        async with self.kube() as kube:
            await kube.create(CONFIG_MAPS, body, namespace)

    async def has_config_map(self, name: str, namespace: str = "default") -> bool:
        """Whether that object is there."""
        async with self.kube() as kube:
            return await kube.find(CONFIG_MAPS, name, namespace) is not None

    async def namespaces(self) -> set[str]:
        """Every namespace."""
        async with self.kube() as kube:
            return {item["metadata"]["name"] for item in (await kube.list(NAMESPACES)).items}

    async def backups(self) -> list[dict[str, Any]]:
        """The backups as the API lists them."""
        listed: dict[str, Any] = (await self.service.client.get(f"/instances/{NAME}/backups")).json()
        rows: list[dict[str, Any]] = listed["backups"]
        return [row for row in rows if row["status"] != "deleted"]

    async def settled(self) -> None:
        """Until every pod runs, so that a test begins from a quiet cluster."""

        async def quiet() -> bool:
            async with self.kube() as kube:
                pods = (await kube.list(PODS)).items
            return bool(pods) and all(
                (pod.get("status") or {}).get("phase") in {"Running", "Succeeded"} for pod in pods
            )

        await eventually(quiet)


@asynccontextmanager
async def running_product(instance: Instance, **settings: str) -> AsyncIterator[Product]:
    """A seeded, quiet instance and its service; nothing of either is left at the end."""
    try:
        await instance.create()
        await instance.seed()
        async with running_service(instance.state_dir, instance.serve, **{**instance.settings, **settings}) as service:
            product = Product(instance, service)
            await product.settled()
            yield product
    finally:
        await instance.delete()


def sandbox_product(state_dir: Path, **settings: str) -> AbstractAsyncContextManager[Product]:
    """The same on a sandbox cluster."""
    return running_product(SandboxInstance(state_dir), **settings)
