"""KECS's view of an instance against a backup: what of it the backup holds, and what the backup holds beyond it."""

import re
from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel, Field

from app.host.ecs_state import EcsObject
from app.proof.archive import Archive
from app.proof.models import ObjectKey

NAMESPACES, DEPLOYMENTS, PODS = "namespaces", "deployments.apps", "pods"
KINDS: dict[str, Literal["cluster", "service", "task"]] = {
    NAMESPACES: "cluster",
    DEPLOYMENTS: "service",
    PODS: "task",
}
RESOURCES = {kind: resource for resource, kind in KINDS.items()}
#: How KECS names the namespace of an ECS cluster: ``<cluster>-<region>``.
_OF_A_CLUSTER = re.compile(r"(?P<cluster>.+)-(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)$")


class CoverageEntry(BaseModel):
    """One ECS cluster, service or task."""

    kind: Literal["cluster", "service", "task"]
    name: str
    cluster: str = Field(description="The ECS cluster it belongs to.")
    object: str = Field(description="What it is in Kubernetes, as `resource namespace/name`.")
    status: Literal["covered", "missing", "extra"] = Field(
        description="`covered`: the backup holds it. `missing`: KECS has it and the backup has not. `extra`: the "
        "backup has it and KECS does not tell of it."
    )


def compare_with_index(known: Iterable[EcsObject], archive: Archive) -> list[CoverageEntry]:
    """Every entry: first what KECS tells of, then what only the backup has.

    A service's task is covered by its own pod or by its service, whose Deployment makes it anew.
    """
    known = list(known)
    services = {(one.cluster, one.name): key_of(one) for one in known if one.kind == "service"}
    entries = []
    for one in known:
        key = key_of(one)
        if one.service and not _holds(archive, key):
            key = services.get((one.cluster, one.service), key)
        entries.append(_entry(one.kind, one.name, one.cluster, key, "covered" if _holds(archive, key) else "missing"))
    return entries + _extra(known, archive)


def key_of(one: EcsObject) -> ObjectKey:
    """The object that KECS keeps it in."""
    if one.kind == "cluster":
        return ObjectKey(resource=NAMESPACES, namespace="", name=one.object)
    return ObjectKey(resource=RESOURCES[one.kind], namespace=one.namespace, name=one.object)


def words(kind: str, cluster: str, name: str) -> str:
    """``service shop/web``, as people read it."""
    return f"{kind} {name}" if kind == "cluster" else f"{kind} {cluster}/{name}"


def _holds(archive: Archive, key: ObjectKey) -> bool:
    """Whether a restore of the backup brings it back; a task that had finished by then stays away."""
    item = archive.items.get(key)
    return item is not None and not item.not_restorable


def _extra(known: list[EcsObject], archive: Archive) -> list[CoverageEntry]:
    told = {key_of(one) for one in known}
    places = {one.namespace: one.cluster for one in known if one.kind == "cluster"}
    places |= {
        key.name: found["cluster"]
        for key in archive.items
        if key.resource == NAMESPACES and key.name not in places and (found := _OF_A_CLUSTER.match(key.name))
    }
    entries = []
    for key, item in archive.items.items():
        place = key.namespace or key.name
        if key in told or key.resource not in KINDS or place not in places or item.controller or item.not_restorable:
            continue
        name = places[place] if key.resource == NAMESPACES else key.name
        entries.append(_entry(KINDS[key.resource], name, places[place], key, "extra"))
    return entries


def _entry(
    kind: Literal["cluster", "service", "task"],
    name: str,
    cluster: str,
    key: ObjectKey,
    status: Literal["covered", "missing", "extra"],
) -> CoverageEntry:
    return CoverageEntry(kind=kind, name=name, cluster=cluster, object=str(key), status=status)
