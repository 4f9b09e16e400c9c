"""The kinds that are served right now, and the discovery documents about them."""

import time
from collections.abc import Iterable
from dataclasses import replace

from app.sandbox.kubeapi.kinds import Kind, built_in_kinds
from app.sandbox.kubeapi.objects import Object, at, entries

#: Measured on the real server: 10 to 20 ms.
INITIALIZING_SECONDS = 0.015


class Registry:
    """Built-in kinds always; those of custom resource definitions come and go."""

    def __init__(self) -> None:
        self._kinds: dict[tuple[str, str, str], Kind] = {}
        self._by_storage: dict[str, Kind] = {}
        # Types that nobody has read yet, and when somebody began to (0: not yet).
        self._fresh: dict[str, float] = {}
        for kind in built_in_kinds():
            self._add(kind)

    def _add(self, kind: Kind) -> None:
        self._kinds[kind.group, kind.version, kind.plural] = kind
        self._by_storage.setdefault(kind.storage, kind)

    def find(self, group: str, version: str, plural: str) -> Kind | None:
        return self._kinds.get((group, version, plural))

    def kinds(self) -> list[Kind]:
        """Everything that is served, in the order of discovery."""
        return list(self._kinds.values())

    def of_storage(self, storage: str) -> Kind | None:
        """The kind in its first version; None for objects whose definition is gone."""
        return self._by_storage.get(storage)

    def built_in(self, resource: str) -> Kind:
        """By ``plural.group``; raises KeyError."""
        return self._by_storage[resource]

    def custom_in_group(self, group: str, version: str) -> bool:
        return any(kind.custom for kind in self._kinds.values() if (kind.group, kind.version) == (group, version))

    def define(self, definition: Object, *, fresh: bool = True) -> None:
        """Serves what a CustomResourceDefinition declares, in place of what it declared before."""
        storage = definition["metadata"]["name"]
        if fresh and storage not in self._by_storage:
            self._fresh[storage] = 0
        self._withdraw(storage)
        for kind in kinds_of(definition):
            self._add(kind)

    def forget(self, definition: Object) -> None:
        self._withdraw(definition["metadata"]["name"])
        self._fresh.pop(definition["metadata"]["name"], None)

    def initializing(self, kind: Kind) -> bool:
        """Whether a new type still asks for patience: for a moment, from the first who wants to read of it."""
        began = self._fresh.get(kind.storage)
        if began is None:
            return False
        now = time.monotonic()
        if began and now - began > INITIALIZING_SECONDS:
            del self._fresh[kind.storage]
            return False
        self._fresh[kind.storage] = began or now
        return True

    def _withdraw(self, storage: str) -> None:
        for place in [place for place, kind in self._kinds.items() if kind.custom and kind.storage == storage]:
            del self._kinds[place]
        if storage in self._by_storage and self._by_storage[storage].custom:
            del self._by_storage[storage]

    def group_versions(self) -> dict[str, list[str]]:
        """Named groups with their versions, the preferred one first."""
        groups: dict[str, list[str]] = {}
        for group, version, _ in self._kinds:
            if group and version not in groups.setdefault(group, []):
                groups[group].append(version)
        return groups

    def group_list(self, remote: Iterable[tuple[str, str]]) -> Object:
        """With the groups and versions of servers behind this one."""
        versions = self.group_versions()
        for group, version in remote:
            versions.setdefault(group, []).append(version)
        groups = [_group(name, found) for name, found in versions.items()]
        return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}

    def group(self, name: str) -> Object | None:
        versions = self.group_versions().get(name)
        return {"kind": "APIGroup", "apiVersion": "v1", **_group(name, versions)} if versions else None

    def resource_list(self, group: str, version: str) -> Object | None:
        kinds = [kind for kind in self._kinds.values() if (kind.group, kind.version) == (group, version)]
        if not kinds:
            return None
        resources = [entry for kind in kinds for entry in (kind.describe(), *_subresources(kind))]
        group_version = f"{group}/{version}" if group else version
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": resources}


def kinds_of(definition: Object) -> list[Kind]:
    """One kind per served version, the most preferred version first (v2, v1, v1beta1)."""
    spec, names = definition["spec"], definition["spec"]["names"]
    base = Kind(
        group=spec["group"],
        version="",
        plural=names["plural"],
        kind=names["kind"],
        namespaced=spec.get("scope") == "Namespaced",
        singular=str(names.get("singular") or ""),
        short_names=tuple(entries(names, "shortNames")),
        categories=tuple(entries(names, "categories")),
        list_kind=str(names.get("listKind") or ""),
        has_generation=True,
        custom=True,
    )
    served = [version for version in entries(spec, "versions") if version.get("served")]
    served.sort(key=lambda version: _preference(version["name"]))
    return [_served(base, one) for one in served]


def _served(base: Kind, version: Object) -> Kind:
    return replace(
        base,
        version=version["name"],
        has_status=at(version, "subresources.status") is not None,
        schema=at(version, "schema.openAPIV3Schema"),
        columns=tuple(one for one in entries(version, "additionalPrinterColumns") if isinstance(one, dict)),
    )


def _preference(version: str) -> tuple[int, int, int]:
    """Sorts stable before beta before alpha, and newer before older."""
    for rank, mark in enumerate(("beta", "alpha"), start=1):
        major, found, minor = version.partition(mark)
        if found:
            return rank, -_number(major[1:]), -_number(minor)
    return 0, -_number(version[1:]), 0


def _number(digits: str) -> int:
    return int(digits) if digits.isdigit() else 0


def _group(name: str, versions: list[str]) -> Object:
    listed = [{"groupVersion": f"{name}/{version}", "version": version} for version in versions]
    return {"name": name, "versions": listed, "preferredVersion": listed[0]}


def _subresources(kind: Kind) -> list[Object]:
    common = {"singularName": "", "namespaced": kind.namespaced}
    found: list[Object] = []
    if kind.has_status:
        found.append({"name": "status", "kind": kind.kind, "verbs": ["get", "patch", "update"]})
    if kind.has_scale:
        scale = {"group": "autoscaling", "version": "v1", "kind": "Scale"}
        found.append({"name": "scale", "verbs": ["get", "patch", "update"], **scale})
    if kind.resource == "pods":
        found.append({"name": "log", "kind": "Pod", "verbs": ["get"]})
        found.append({"name": "portforward", "kind": "PodPortForwardOptions", "verbs": ["create", "get"]})
        found.append({"name": "binding", "kind": "Binding", "verbs": ["create"]})
        eviction = {"group": "policy", "version": "v1", "kind": "Eviction"}
        found.append({"name": "eviction", "verbs": ["create"], **eviction})
    if kind.resource == "namespaces":
        found.append({"name": "finalize", "kind": "Namespace", "verbs": ["update"]})
    return [{**common, **one, "name": f"{kind.plural}/{one['name']}"} for one in found]


def list_kind(kind: Kind) -> str:
    return kind.list_kind or f"{kind.kind}List"
