"""Every object of a cluster that a backup is about, taken through the API, and two such snapshots compared."""

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.comparing import differences, normalise
from app.kubernetes.resources import Resource
from app.ports import ClusterAccess
from app.proof.archive import why_not_restorable
from app.velero.restoring import KECS_WEBHOOK
from app.velero.scope import FULL, collected, in_scope

Object = dict[str, Any]


@dataclass
class Snapshot:
    """Objects by ``resource namespace/name``, and how they are classed."""

    objects: dict[str, Object] = field(default_factory=dict)
    controlled: set[str] = field(default_factory=set)
    not_restorable: dict[str, str] = field(default_factory=dict)
    left_to_kecs: set[str] = field(default_factory=set)

    @property
    def restorable(self) -> set[str]:
        """What must be the same afterwards."""
        return self.objects.keys() - self.controlled - self.not_restorable.keys() - self.left_to_kecs


async def take_snapshot(kubeconfig: dict[str, Any]) -> Snapshot:
    """Everything in the scope of a full backup, whole."""
    async with await KubeClient.connect(ClusterAccess(kubeconfig)) as kube:
        types = collected((await kube.discover()).resources, FULL)
        lists = await asyncio.gather(*(_list(kube, resource) for resource in types))
    snapshot = Snapshot(objects={key: item for found in lists for key, item in found.items()})
    uids = {item["metadata"]["uid"] for item in snapshot.objects.values()}
    for key, item in snapshot.objects.items():
        if why_not_restorable(item):
            snapshot.not_restorable[key] = why_not_restorable(item)
        elif any(owner.get("controller") and owner["uid"] in uids for owner in _owners(item)):
            snapshot.controlled.add(key)
        elif is_kecs_own(item):
            snapshot.left_to_kecs.add(key)
    return snapshot


def is_kecs_own(item: Object) -> bool:
    """Made by KECS whenever its server starts: its webhook, and its duplicates of tasks in ``ecs-<cluster>``."""
    metadata = item["metadata"]
    place = metadata["name"] if item["kind"] == "Namespace" else metadata.get("namespace", "")
    return metadata["name"] == KECS_WEBHOOK or place.startswith("ecs-")


async def _list(kube: KubeClient, resource: Resource) -> dict[str, Object]:
    return {
        _key(resource, item): {**item, "kind": resource.kind, "apiVersion": resource.api_version}
        for item in (await kube.list(resource)).items
        if in_scope(resource, item["metadata"])
    }


def _key(resource: Resource, item: Object) -> str:
    metadata = item["metadata"]
    place = f"{metadata['namespace']}/" if metadata.get("namespace") else ""
    return f"{resource.group_resource} {place}{metadata['name']}"


def _owners(item: Object) -> list[Object]:
    return item["metadata"].get("ownerReferences") or []


def compare(before: Snapshot, after: Snapshot) -> tuple[list[str], Counter[str]]:
    """What differs, in words, and how often each rule of the ignore-list was used."""
    found, ignored = [], Counter[str]()
    for key in sorted(before.restorable | after.restorable):
        one, other = before.objects.get(key), after.objects.get(key)
        if one is None or other is None:
            found.append(f"{key}: {'new' if one is None else 'missing'}")
            continue
        old, used = normalise(one)
        new, used_after = normalise(other)
        ignored.update(used | used_after)
        found += [f"{key}: {each.path}: {each.before!r} -> {each.after!r}" for each in differences(old, new)]
    return found, ignored
