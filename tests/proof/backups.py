"""Backups as Velero leaves them in the bucket: the objects of one namespace, whole and good unless a test spoils it."""

import asyncio
import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS
from app.proof.inventory import take_inventory
from app.proof.models import Inventory
from app.proof.prove import ProofRequest
from app.storage import layout
from app.storage.s3 import S3Store
from app.velero.scope import Scope
from tests.proof.archives import Object, an_archive, an_object

NAME, UID = "stop-backup-shop-20261123090000", "uid-of-the-backup"
EMPTY_RESULTS = {part: {"velero": [], "cluster": [], "namespaces": {}} for part in ("errors", "warnings")}


def zipped(value: Any) -> bytes:
    """As Velero keeps its small files."""
    return gzip.compress(json.dumps(value).encode())


def resource_list(objects: Sequence[Object]) -> dict[str, list[str]]:
    """Names of all objects by kind, as Velero lists them."""
    listed: dict[str, list[str]] = {}
    for found in objects:
        metadata = found["metadata"]
        name = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
        listed.setdefault(f"{found.get('apiVersion', 'v1')}/{found['kind']}", []).append(name)
    return listed


def good_backup(objects: Sequence[Object]) -> dict[str, bytes]:
    """Everything below the prefix, by key."""
    backup = {"metadata": {"name": NAME, "uid": UID}, "status": {"phase": "Completed"}}
    return {
        layout.metadata_key(NAME): json.dumps(backup).encode(),
        layout.contents_key(NAME): an_archive(objects),
        layout.logs_key(NAME): gzip.compress(b"time=now level=info"),
        layout.results_key(NAME): zipped(EMPTY_RESULTS),
        layout.resource_list_key(NAME): zipped(resource_list(objects)),
        layout.volume_info_key(NAME): zipped([]),
        layout.pod_volume_backups_key(NAME): zipped(None),
    }


async def upload(store: S3Store, content: dict[str, bytes]) -> None:
    """Put every object."""
    await asyncio.gather(*(store.put(key, data) for key, data in content.items()))


@dataclass
class Shop:
    """A namespace with a few ConfigMaps, listed, and then backed up."""

    kube: KubeClient
    store: S3Store
    namespace: str
    directory: Path
    inventory: Inventory = field(init=False)

    async def add(self, name: str) -> Object:
        """One more object."""
        body = {"metadata": {"name": name}, "data": {"key": name}}
        return await self.kube.create(CONFIG_MAPS, body, self.namespace)

    async def take_stock(self) -> None:
        """Take the inventory."""
        scope = Scope(namespaces=[self.namespace], resources=["configmaps"], partial=True)
        self.inventory = await take_inventory(self.kube, scope)

    async def objects(self) -> list[Object]:
        """What a backup made now would hold: all but what Kubernetes puts into every namespace."""
        items = (await self.kube.list(CONFIG_MAPS, self.namespace)).items
        found = [{**item, "kind": "ConfigMap"} for item in items if item["metadata"]["name"] != "kube-root-ca.crt"]
        # Of the namespace only its names and version matter here.
        namespace = next(item for item in self.inventory.items if item.key.resource == "namespaces")
        metadata = {"uid": namespace.uid}
        return [
            an_object("Namespace", self.namespace, "", version=namespace.resource_version, metadata=metadata),
            *found,
        ]

    def request(self, **changes: Any) -> ProofRequest:
        """What is to be proven."""
        fields = {
            "backup": NAME,
            "backup_uid": UID,
            "instance_id": "i",
            "cluster_uid": "c",
            "inventory": self.inventory,
            "full": True,
            "host_directory": self.directory,
            "not_saved": [],
        }
        return ProofRequest(**{**fields, **changes})
