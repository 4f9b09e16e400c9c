"""What a workflow works with: the process-wide world, and one attempt's own access to one instance."""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.errors import ExternalStoreNotConfigured
from app.host.config import ExternalRecord, Policy
from app.host.credentials import ensure_credentials
from app.host.external import external_in_use, external_store
from app.host.instance_directory import InstanceDirectory
from app.jobs.repository import JobStore
from app.kubernetes.client import KubeClient
from app.ports import Clusters, Mount
from app.proof.archive import Archive, read_archive
from app.scratch import scratch_directory
from app.settings import Settings, StackSettings
from app.storage import layout
from app.storage.s3 import S3Store
from app.velero.client import VeleroClient
from app.velero.stack.manifests import MINIO, MINIO_PORT
from app.workflows.forwards import StackForwards
from app.workflows.policies import Rules, decide, refuse_in_sandbox


@dataclass(frozen=True)
class World:
    """What is the same for every job of this process."""

    settings: Settings
    clusters: Clusters
    store: JobStore
    forwards: StackForwards = field(default_factory=StackForwards)


class InstanceSession:
    """One attempt's access to one instance: opened when first asked for, closed with the attempt.

    Access is never a step's result: a resumed attempt makes its own, since ports, certificates and credentials
    may have changed meanwhile.
    """

    def __init__(self, world: World, instance: str) -> None:
        self.world = world
        self.instance = instance
        self.settings = world.settings
        self.directory = InstanceDirectory.open(world.settings.instances_directory, instance)
        self._opened = AsyncExitStack()
        self._lock, self._mounts_lock = asyncio.Lock(), asyncio.Lock()
        self._asked_ahead: asyncio.Future[Any] | None = None
        self._kube: KubeClient | None = None
        self._mounts: list[Mount] | None = None
        self._knows_mounts = False
        self._stores: dict[str, S3Store] = {}
        self._archives: dict[str, Path] = {}
        self._indexes: dict[str, Archive] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.forget_access()

    @property
    def instance_id(self) -> str:
        """The instance's own id; raises when it was never recorded."""
        return self.directory.update_config().instance_id

    def rules(self, wish: Policy | None = None) -> Rules:
        """What holds for this instance now; ``wish`` is what the request says."""
        config = self.directory.load_config()
        rules = decide(self.settings, config.policy if config else Policy(), wish).rules
        refuse_in_sandbox(self.settings, rules)
        return rules

    @property
    def stack(self) -> StackSettings:
        """The stack's settings, as they are for this instance."""
        return self.settings.stack.model_copy(update={"mode": self.rules().stack})

    def ask_ahead(self) -> None:
        """Have the power driver say how the cluster is reached and what it mounts, while something else is looked at.

        It runs programs for both, one after the other. Whoever needs an answer waits for this one; a failure is asked
        for again, and told then.
        """
        if self._asked_ahead is None:
            self._asked_ahead = asyncio.gather(self.kube(), self.mounts(), return_exceptions=True)

    async def kube(self) -> KubeClient:
        """The cluster's API, connected with a fresh kubeconfig of the power driver."""
        async with self._lock:
            if self._kube is None:
                access = await self.world.clusters.access(self.instance)
                self._kube = await self._opened.enter_async_context(await KubeClient.connect(access))
            return self._kube

    async def mounts(self) -> list[Mount] | None:
        """The host directories that the cluster's nodes see; the driver is asked once, as it runs programs for it."""
        async with self._mounts_lock:
            if not self._knows_mounts:
                self._mounts = await self.world.clusters.mounts(self.instance)
                self._knows_mounts = True
            return self._mounts

    async def velero(self) -> VeleroClient:
        """Velero's custom resources in that cluster."""
        return VeleroClient(await self.kube(), namespace=self.settings.stack.namespace)

    def external(self) -> ExternalRecord | None:
        """The part of the external store that holds this instance's backups; None for MinIO in its cluster."""
        return external_in_use(self.directory, self.directory.load_config(), self.settings.storage)

    async def objects(self) -> S3Store:
        """The store that holds this instance's backups; if it is MinIO in the cluster, the stack must be awake."""
        external = self.external()
        return await (self.minio() if external is None else self.external_objects(external))

    async def external_objects(self, place: ExternalRecord) -> S3Store:
        """A part of the configured external store."""
        settings = self.settings.storage
        if settings is None:
            raise ExternalStoreNotConfigured(f"no external store is configured that would hold {place}")
        async with self._lock:
            if str(place) not in self._stores:
                store = external_store(place, settings)
                self._stores[str(place)] = await self._opened.enter_async_context(store)
            return self._stores[str(place)]

    async def minio(self) -> S3Store:
        """MinIO in the cluster through a port-forward of the API server, whichever store is in use."""
        from app.kubernetes.port_forward import PortForward  # slow to import, as the client's transport is

        kube = await self.kube()
        async with self._lock:
            if MINIO not in self._stores:
                forward = await self._opened.enter_async_context(
                    PortForward(kube, self.settings.stack.namespace, MINIO, MINIO_PORT)
                )
                credentials = ensure_credentials(self.directory)
                store = S3Store(forward.url, credentials, self.settings.stack.bucket)
                self._stores[MINIO] = await self._opened.enter_async_context(store)
            return self._stores[MINIO]

    async def archive(self, backup: str) -> Path:
        """The backup's tarball on this machine's disk, downloaded once per attempt and removed at its end."""
        if backup not in self._archives:
            store = await self.objects()
            path = self._opened.enter_context(scratch_directory()) / "contents.tar.gz"
            await store.download(layout.contents_key(backup), path)
            self._archives[backup] = path
        return self._archives[backup]

    async def index(self, backup: str) -> Archive:
        """What that tarball holds, read to its end once per attempt."""
        if backup not in self._indexes:
            self._indexes[backup] = await asyncio.to_thread(read_archive, await self.archive(backup))
        return self._indexes[backup]

    async def forget_access(self) -> None:
        """Close every connection; after a power change nothing of it is valid any more."""
        if self._asked_ahead is not None:
            self._asked_ahead.cancel()
            await asyncio.wait([self._asked_ahead])
            self._asked_ahead = None
        opened, self._opened = self._opened, AsyncExitStack()
        self._kube = None
        self._knows_mounts = False
        self._stores = {}
        self._archives = {}
        self._indexes = {}
        await opened.aclose()
