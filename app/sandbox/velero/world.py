"""What every controller of the server works with."""

from dataclasses import dataclass, field
from typing import Any

from app.sandbox.apiclient import KubernetesApi, ResourceType
from app.sandbox.objects import Object, name_of
from app.sandbox.velero import kinds
from app.sandbox.velero.bucket import Buckets
from app.sandbox.velero.discovery import Discovery
from app.sandbox.velero.switches import Switches
from app.sandbox.watching import Informer

WATCHED = (
    kinds.BACKUP_STORAGE_LOCATIONS,
    kinds.BACKUPS,
    kinds.RESTORES,
    kinds.DELETE_BACKUP_REQUESTS,
    kinds.DOWNLOAD_REQUESTS,
    kinds.SERVER_STATUS_REQUESTS,
    kinds.BACKUP_REPOSITORIES,
)


@dataclass(frozen=True)
class Options:
    """The server flags that change what the emulator does."""

    namespace: str = "velero"
    disabled: frozenset[str] = frozenset()
    default_location: str = "default"
    default_ttl: str = "720h0m0s"
    validation_frequency: str = "1m0s"
    sync_period: str = "1m0s"
    concurrent_backups: int = 1
    maintenance_frequency: str = "1h0m0s"


@dataclass
class World:
    api: KubernetesApi
    discovery: Discovery
    buckets: Buckets
    switches: Switches
    options: Options
    credentials_file: str | None = None
    kubernetes_version: dict[str, str] = field(default_factory=dict)
    informers: dict[str, Informer] = field(init=False)

    def __post_init__(self) -> None:
        namespace = self.options.namespace
        self.informers = {kind.name: Informer(self.api, kind, namespace) for kind in WATCHED}

    def cached(self, kind: ResourceType) -> dict[str, Object]:
        """Objects by name, as far as the watch has told."""
        return self.informers[kind.name].objects

    def informer(self, kind: ResourceType) -> Informer:
        return self.informers[kind.name]

    async def find(self, kind: ResourceType, name: str) -> Object | None:
        """One of Velero's own objects, read live."""
        return await self.api.find(kind, name, self.options.namespace)

    async def patch(self, kind: ResourceType, name: str, patch: dict[str, Any]) -> Object:
        return await self.api.merge_patch(kind, name, patch, self.options.namespace)

    async def patch_status(self, kind: ResourceType, obj: Object, **status: Any) -> Object:
        return await self.patch(kind, name_of(obj), {"status": status})
