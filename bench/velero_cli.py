"""The same work done by hand with the Velero CLI, as its documentation tells: the baseline of the real figures."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from app.host.credentials import credentials_file, ensure_credentials
from app.host.instance_directory import InstanceDirectory
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DEPLOYMENTS, NAMESPACES, SECRETS, SERVICES, STATEFUL_SETS
from app.settings import StackSettings
from app.storage.s3 import S3Credentials
from app.velero.stack import manifests
from bench.pods import DEADLINE_SECONDS, Pods, asleep, running
from tests.instances import NAME
from tests.product import Product
from tests.real.images import STACK_IMAGES
from tests.real.slot import NODE_PATH
from tests.tools import Tool, program

#: How often a script would ask.
ASK_SECONDS = 0.5
SETTINGS = StackSettings(images=STACK_IMAGES)


class Runbook:
    """One cluster, its Velero CLI, and what a person does with it."""

    def __init__(self, product: Product, scratch: Path) -> None:
        self._product = product
        self._scratch = scratch
        kubeconfig = product.instance.access().kubeconfig
        self._velero = Tool(program("velero"), kubeconfig, scratch / "cli", "velero", seconds=DEADLINE_SECONDS)

    async def back_up_from_sleep(self, name: str) -> tuple[float, float]:
        """Scale up, wait, back everything up, prove nothing; seconds of all, and of the backup alone."""
        async with self._product.kube() as kube:
            await self._scale(kube, 0)
            await asleep(kube)
            began = time.perf_counter()
            await self._scale(kube, 1)
            await self._ready(kube)
        seconds = await self.back_up(name)
        return time.perf_counter() - began, seconds

    async def back_up(self, name: str) -> float:
        """``backup create --wait`` of everything by a Velero that is up, once it can use its location."""
        await self._until(self._location_available)
        asked = time.perf_counter()
        await self._velero.ok("backup", "create", name, "--wait", "--snapshot-volumes=false")
        return time.perf_counter() - asked

    async def install(self) -> float:
        """MinIO by manifests, Velero by its installer, until the location is available."""
        began = time.perf_counter()
        directory = InstanceDirectory.open(self._product.state_dir / "instances", NAME)
        keys = ensure_credentials(directory)
        async with self._product.kube() as kube:
            await self._deploy_minio(kube, keys)
            await self._velero.ok("install", *self._install_arguments(keys))
            await self._ready(kube)
        await self._until(self._location_available)
        return time.perf_counter() - began

    async def restore(self, backup: str, wanted: Pods) -> tuple[float, float]:
        """Wait until Velero has found the backup in the bucket, restore it, wait until the wanted pods run.

        Seconds of all, and of ``restore create --wait`` alone.
        """
        began = time.perf_counter()

        async def known() -> bool:
            return (await self._velero.run("backup", "get", backup)).code == 0

        await self._until(known)
        asked = time.perf_counter()
        await self._velero.ok("restore", "create", "--from-backup", backup, "--wait")
        restored = time.perf_counter()
        await running(self._product, wanted)
        return time.perf_counter() - began, restored - asked

    @staticmethod
    async def _scale(kube: KubeClient, replicas: int) -> None:
        for resource, workload in ((STATEFUL_SETS, "minio"), (DEPLOYMENTS, "velero")):
            await kube.merge_patch(resource, workload, {"spec": {"replicas": replicas}}, "velero")

    async def _deploy_minio(self, kube: KubeClient, keys: S3Credentials) -> None:
        await kube.apply(NAMESPACES, manifests.namespace_manifest(SETTINGS))
        await kube.apply(SERVICES, manifests.minio_service_manifest(SETTINGS))
        await kube.apply(SECRETS, manifests.credentials_manifest(SETTINGS, keys))
        place = manifests.MinioPlace(f"{NODE_PATH}/minio-data", 0, 0)
        await kube.apply(STATEFUL_SETS, manifests.minio_manifest(SETTINGS, place))

    def _install_arguments(self, keys: S3Credentials) -> list[str]:
        secret = self._scratch / "credentials"
        secret.write_text(credentials_file(keys))
        location = "region=minio,s3ForcePathStyle=true,s3Url=http://minio.velero.svc:9000,checksumAlgorithm="
        return [
            "--provider", "aws", "--image", STACK_IMAGES.velero, "--plugins", STACK_IMAGES.velero_plugin,
            "--bucket", SETTINGS.bucket, "--secret-file", str(secret), "--backup-location-config", location,
            "--use-volume-snapshots=false", "--wait",
        ]  # fmt: skip

    async def _ready(self, kube: KubeClient) -> None:
        async def both() -> bool:
            velero = await kube.find(DEPLOYMENTS, "velero", "velero")
            minio = await kube.find(STATEFUL_SETS, "minio", "velero")
            return all(((each or {}).get("status") or {}).get("readyReplicas") for each in (velero, minio))

        await self._until(both)

    async def _location_available(self) -> bool:
        outcome = await self._velero.run("backup-location", "get", "default", "--output", "json")
        return outcome.code == 0 and json.loads(outcome.out).get("status", {}).get("phase") == "Available"

    @staticmethod
    async def _until(condition: Callable[[], Awaitable[bool]]) -> None:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while not await condition():
                await asyncio.sleep(ASK_SECONDS)
