"""Velero's objects as a contract test handles them: posted as they are, read as they came."""

import gzip
import io
import json
import tarfile
from itertools import count
from typing import Any

from app.kubernetes.resources import CONFIG_MAPS, Resource
from app.storage import layout
from app.velero.bodies import custom_resource, policy_config_map
from app.velero.models import BACKUP_STORAGE_LOCATIONS, BACKUPS, RESTORES
from tests.contract.world import World

VELERO = "velero"
SECONDS = 60
#: Phases that are final.
TERMINAL = {"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
_numbers = count(1)

Object = dict[str, Any]


def a_name(prefix: str) -> str:
    """A name no other test uses."""
    return f"{prefix}-{next(_numbers)}"


async def backup(world: World, namespace: str, name: str = "", **spec: Any) -> Object:
    """A Backup of one namespace to its end, however that is."""
    name = name or a_name("backup")
    body = {"includedNamespaces": [namespace], "snapshotVolumes": False} | spec
    return await _run(world, BACKUPS, name, body)


async def restore(world: World, of: Object, name: str = "", **spec: Any) -> Object:
    """A Restore of that Backup to its end."""
    return await _run(world, RESTORES, name or a_name("restore"), {"backupName": of["metadata"]["name"]} | spec)


async def _run(world: World, resource: Resource, name: str, spec: Object) -> Object:
    await world.kube.create(resource, custom_resource(resource, VELERO, name, spec), VELERO)
    return await ended(world, resource, name)


async def ended(world: World, resource: Resource, name: str) -> Object:
    """Once its phase is one of the four that are final."""
    found = await world.kube.wait_for(
        resource, name, VELERO, lambda one: one is not None and phase(one) in TERMINAL, timeout_seconds=SECONDS
    )
    assert found is not None
    return found


async def validate_anew(world: World) -> None:
    """The default location Available, as of a validation that a change of its specification has brought at once."""

    def validated(found: Object | None) -> bool:
        return found is not None and phase(found) == "Available" and "lastValidationTime" in found["status"]

    found = await world.kube.get(BACKUP_STORAGE_LOCATIONS, "default", VELERO)
    other = "5s" if found["spec"].get("validationFrequency") != "5s" else "5001ms"
    patch = {"status": {"lastValidationTime": None}, "spec": {"validationFrequency": other}}
    await world.kube.merge_patch(BACKUP_STORAGE_LOCATIONS, "default", patch, VELERO)
    await world.kube.wait_for(BACKUP_STORAGE_LOCATIONS, "default", VELERO, validated, timeout_seconds=4)


def phase(found: Object) -> str:
    """Empty for what no controller has seen."""
    return str((found.get("status") or {}).get("phase", ""))


async def config_map(world: World, namespace: str, name: str = "settings", **more: Any) -> Object:
    """Something to save."""
    metadata = {"name": name} | more.pop("metadata", {})
    return await world.kube.create(CONFIG_MAPS, {"metadata": metadata, "data": {"key": "value"}} | more, namespace)


async def policy(world: World, document: Object) -> Object:
    """A filter policy; the reference to it for a specification."""
    manifest = policy_config_map(document, VELERO)
    await world.kube.apply(CONFIG_MAPS, manifest)
    return {"kind": "configmap", "name": manifest["metadata"]["name"]}


async def unpacked(world: World, of: Object) -> dict[str, bytes]:
    """The files of a Backup's tar."""
    content = await world.store.get(layout.contents_key(of["metadata"]["name"]))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}  # type: ignore[union-attr]


async def document(world: World, key: str) -> Any:
    """A JSON object of the bucket, gzipped or not."""
    content = await world.store.get(key)
    return json.loads(gzip.decompress(content) if key.endswith(".gz") else content)


async def keys(world: World, prefix: str) -> set[str]:
    """What lies below a prefix of the bucket."""
    return {found.key for found in await world.store.list_objects(prefix)}
