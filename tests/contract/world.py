"""A world: one cluster with the product's stack in it, behind the same few handles whoever runs it.

What differs between worlds is only who makes the cluster; every behaviour is seen over the wire.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol, Self

import aiohttp

from app.kubernetes.client import KubeClient
from app.kubernetes.port_forward import PortForward
from app.kubernetes.resources import PODS
from app.ports import Clusters
from app.settings import ImageSettings, StackSettings
from app.storage.s3 import S3Credentials, S3Store
from app.velero.client import VeleroClient
from app.velero.stack.freshness import VELERO_PODS
from app.velero.stack.manifests import MinioPlace
from app.velero.stack.wake import StackContext, wake

KEYS = S3Credentials("contract-user", "not-a-real-secret")
#: Of this run, since real clusters of two runs must not meet.
INSTANCE = f"contract-{os.getpid()}"


class Cluster(Protocol):
    """One cluster of a world and the power driver that knows it."""

    name: str
    clusters: Clusters
    images: ImageSettings

    async def recreate(self) -> None:
        """The same name comes back empty: new authority, port and identity; its host directory is kept."""


@dataclass
class Answer:
    """One HTTP answer of the API server as it came over the wire."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:
        """The body, parsed."""
        return json.loads(self.text)


@dataclass
class World:
    """Handles on one cluster; use as an async context manager."""

    cluster: Cluster
    scratch: Path
    _opened: AsyncExitStack = field(default_factory=AsyncExitStack)

    @property
    def name(self) -> str:
        """``sandbox`` or ``real``."""
        return self.cluster.name

    @property
    def settings(self) -> StackSettings:
        """The product's stack, with images this world has."""
        return StackSettings(wake_timeout_seconds=60, images=self.cluster.images)

    async def __aenter__(self) -> Self:
        self.kube = await self._opened.enter_async_context(
            await KubeClient.connect(await self.cluster.clusters.access(INSTANCE))
        )
        forward = await self._opened.enter_async_context(PortForward(self.kube, "velero", "minio", 9000))
        self.s3_url = forward.url
        self.store = await self._opened.enter_async_context(S3Store(forward.url, KEYS, self.settings.bucket))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._opened.aclose()

    @property
    def velero(self) -> VeleroClient:
        """Velero's custom resources."""
        return VeleroClient(self.kube)

    async def bucket_on_host(self) -> Path:
        """Where MinIO keeps its data on this machine."""
        return await host_directory(self.cluster.clusters) / "minio-data"

    async def wake(self) -> None:
        """The product's own stack up: Velero and MinIO."""

        async def open_store() -> S3Store:
            return self.store

        mounts = await self.cluster.clusters.mounts(INSTANCE) or []
        data = await self.bucket_on_host()
        data.mkdir(parents=True, exist_ok=True)
        await wake(
            StackContext(
                kube=self.kube,
                settings=self.settings,
                credentials=KEYS,
                repository_password="password",
                place=MinioPlace(f"{mounts[0].node_path}/minio-data", os.getuid(), os.getgid()),
                crd_cache=self.scratch / "crds.json",
                open_store=open_store,
            )
        )

    async def restart_velero(self) -> None:
        """Its pod ended, and the one that follows ready."""
        pods = (await self.kube.list(PODS, "velero", label_selector=VELERO_PODS)).items
        old = {pod["metadata"]["uid"] for pod in pods}
        for pod in pods:
            await self.kube.delete(PODS, pod["metadata"]["name"], "velero", grace_seconds=0)
        async with asyncio.timeout(60):
            while not await self._another_is_ready(old):
                await asyncio.sleep(0.1)

    async def _another_is_ready(self, old: set[str]) -> bool:
        pods = (await self.kube.list(PODS, "velero", label_selector=VELERO_PODS)).items
        return any(
            condition["type"] == "Ready" and condition["status"] == "True"
            for pod in pods
            if pod["metadata"]["uid"] not in old
            for condition in (pod.get("status") or {}).get("conditions") or []
        )

    async def http(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request as it is, for what no client of ours would send; text is sent as it stands."""
        async with self._session() as (session, url, tls):
            data = body if isinstance(body, str | bytes | BytesIO | None) else json.dumps(body)
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            async with session.request(method, url + path, data=data, headers=sent, ssl=tls) as response:
                return Answer(response.status, response.headers, await response.text(errors="replace"))

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[tuple[aiohttp.ClientSession, str, Any]]:
        from app.kubernetes.kubeconfig import load
        from app.kubernetes.transport import _tls

        endpoint = load(await self.cluster.clusters.access(INSTANCE))
        token = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(headers=token, timeout=timeout) as session:
            yield session, endpoint.server, _tls(endpoint)


async def host_directory(clusters: Clusters) -> Path:
    """The instance's directory on this machine, which the node sees."""
    mounts = await clusters.mounts(INSTANCE)
    assert mounts, "this world's cluster has no host directory"
    return Path(mounts[0].host_path)
