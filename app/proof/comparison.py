"""After a restore: the cluster held against the backup, object by object and field by field."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from app.concurrency import side_by_side
from app.kubernetes.client import KubeClient
from app.kubernetes.comparing import FieldDifference, Object, differences, normalise
from app.kubernetes.resources import Resource
from app.proof.archive import Archive, load_objects, read_archive
from app.proof.models import ObjectKey


@dataclass
class ContentComparison:
    """What came of it; ``ignored`` counts the rules that left something out."""

    compared: int = 0
    equal: int = 0
    missing: list[ObjectKey] = field(default_factory=list)
    differing: list[tuple[ObjectKey, list[FieldDifference]]] = field(default_factory=list)
    not_restorable: list[tuple[ObjectKey, str]] = field(default_factory=list)
    left_to_controller: list[ObjectKey] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def restorable_keys(
    archive: Archive, outcome: ContentComparison, wanted: Callable[[ObjectKey], bool]
) -> set[ObjectKey]:
    """Keys that a restore must bring back; the others are put into their classes."""
    keys = set()
    for key, item in archive.items.items():
        if not wanted(key):
            continue
        if item.not_restorable:
            outcome.not_restorable.append((key, item.not_restorable))
        elif archive.has_controller_of(item):
            outcome.left_to_controller.append(key)
        else:
            keys.add(key)
    return keys


async def compare_with_backup(
    kube: KubeClient, path: Path, wanted: Callable[[ObjectKey], bool] = lambda _key: True
) -> ContentComparison:
    """Compare every wanted object of the archive at ``path`` with the live one."""
    archive = await asyncio.to_thread(read_archive, path)
    outcome = ContentComparison()
    keys = restorable_keys(archive, outcome, wanted)
    live = await _live(kube, {key.resource for key in keys})
    await asyncio.to_thread(_compare, path, keys, live, outcome)
    return outcome


async def find_missing(
    kube: KubeClient, archive: Archive, wanted: Callable[[ObjectKey], bool]
) -> tuple[list[ObjectKey], int]:
    """What a restore would have to bring back, and how many objects were looked for; lists metadata only."""
    keys = restorable_keys(archive, ContentComparison(), wanted)
    live = await _live(kube, {key.resource for key in keys}, metadata_only=True)
    return sorted(keys - live.keys(), key=str), len(keys)


def _compare(path: Path, keys: set[ObjectKey], live: dict[ObjectKey, Object], outcome: ContentComparison) -> None:
    for key, before in load_objects(path, keys.__contains__):
        outcome.compared += 1
        after = live.get(key)
        if after is None:
            outcome.missing.append(key)
            continue
        old, used = normalise(before)
        new, used_now = normalise(after)
        outcome.ignored.update(used | used_now)
        found = differences(old, new)
        if found:
            outcome.differing.append((key, found))
        else:
            outcome.equal += 1


async def _live(kube: KubeClient, types: set[str], *, metadata_only: bool = False) -> dict[ObjectKey, Object]:
    served = {resource.group_resource: resource for resource in (await kube.discover()).resources}
    wanted = [served[name] for name in sorted(types & served.keys())]
    lists = await side_by_side(*(kube.find_all(resource, metadata_only=metadata_only) for resource in wanted))
    return await asyncio.to_thread(_by_key, zip(wanted, lists, strict=True))


def _by_key(lists: Iterable[tuple[Resource, list[Object]]]) -> dict[ObjectKey, Object]:
    """The objects as they would be one by one: lists leave out what every item of them has in common."""
    return {
        ObjectKey(
            resource=resource.group_resource,
            namespace=item["metadata"].get("namespace", ""),
            name=item["metadata"]["name"],
        ): {**item, "kind": resource.kind, "apiVersion": resource.api_version}
        for resource, items in lists
        for item in items
    }
