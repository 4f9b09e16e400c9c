"""Collects the objects of a backup from the live cluster."""

import asyncio
from collections.abc import Iterable

from app.sandbox.apiclient import ApiError, KubernetesApi, ResourceType
from app.sandbox.objects import EXCLUDE_LABEL, Object, labels_of, name_of, namespace_of
from app.sandbox.velero.archive import Item
from app.sandbox.velero.discovery import Discovery, restorable
from app.sandbox.velero.oplog import OperationLog
from app.sandbox.velero.scope import NAMESPACES, BackupScope

# The same objects served by two groups: the second is not saved again.
_COHABITING = {
    "deployments": ("apps", "extensions"),
    "daemonsets": ("apps", "extensions"),
    "replicasets": ("apps", "extensions"),
    "networkpolicies": ("networking.k8s.io", "extensions"),
    "ingresses": ("networking.k8s.io", "extensions"),
    "events": ("", "events.k8s.io"),
}
_FIRST = {"pods": 0, "persistentvolumeclaims": 1, "persistentvolumes": 2}
_PARALLEL_LISTS = 8
_COMPANIONS = ("customresourcedefinitions.apiextensions.k8s.io", "persistentvolumes")
_ROLE_BINDINGS = "clusterrolebindings.rbac.authorization.k8s.io"
_ROLES = "clusterroles.rbac.authorization.k8s.io"

_Key = tuple[str, str, str]


class Collector:
    """One collection; what cannot be listed becomes an error in the log and thereby PartiallyFailed."""

    def __init__(self, api: KubernetesApi, discovery: Discovery, scope: BackupScope, log: OperationLog) -> None:
        self._api, self._discovery, self._scope, self._log = api, discovery, scope, log
        self._limit = asyncio.Semaphore(_PARALLEL_LISTS)
        self._items: dict[_Key, Item] = {}

    async def collect(self) -> list[Item]:
        """Pods first, then volumes, then the rest in discovery's order, namespaces last."""
        kinds = [kind for kind in self._kinds() if kind.name != NAMESPACES and self._scope.kinds.takes(kind)]
        lists = await asyncio.gather(*(self._list(kind) for kind in kinds))
        for kind, objects in zip(kinds, lists, strict=True):
            self._add(kind, (obj for obj in objects if self._scope.takes(kind, obj)))
        await self._add_companions()
        await self._add_namespaces()
        return list(self._items.values())

    def _kinds(self) -> list[ResourceType]:
        served = {resource.name: resource for resource in self._discovery.resources if restorable(resource)}
        kept = [resource for resource in served.values() if not self._is_second_home(resource, served)]
        return sorted(kept, key=lambda resource: _FIRST.get(resource.name, len(_FIRST)))

    @staticmethod
    def _is_second_home(resource: ResourceType, served: dict[str, ResourceType]) -> bool:
        groups = _COHABITING.get(resource.plural, ())
        if resource.group not in groups:
            return False
        better = groups[: groups.index(resource.group)]
        return any((f"{resource.plural}.{group}" if group else resource.plural) in served for group in better)

    async def _list(self, resource: ResourceType) -> list[Object]:
        async with self._limit:
            try:
                return (await self._api.list(resource)).items
            except ApiError as error:
                self._log.error(f"Error listing items of resource {resource.name}: {error}", None)
                return []

    def _add(self, resource: ResourceType, objects: Iterable[Object]) -> None:
        for obj in objects:
            self._items.setdefault((resource.name, namespace_of(obj), name_of(obj)), Item(resource, obj))

    async def _add_companions(self) -> None:
        """What item actions bring in when cluster-scoped kinds are not taken as such: CRDs, volumes, bindings."""
        wanted: dict[str, set[str]] = {name: set() for name in _COMPANIONS}
        accounts: set[tuple[str, str]] = set()
        for resource, obj in tuple(self._items.values()):
            wanted[_COMPANIONS[0]].add(resource.name)
            if resource.name == "persistentvolumeclaims":
                wanted[_COMPANIONS[1]].add((obj.get("spec") or {}).get("volumeName", ""))
            elif resource.name == "serviceaccounts":
                accounts.add((namespace_of(obj), name_of(obj)))
        for kind, names in wanted.items():
            for obj in await self._companions(kind) if names else ():
                if name_of(obj) in names:
                    self._add(self._known(kind), [obj])
        if accounts:
            await self._add_bindings(accounts)

    async def _add_bindings(self, accounts: set[tuple[str, str]]) -> None:
        bindings = [obj for obj in await self._companions(_ROLE_BINDINGS) if _subjects(obj) & accounts]
        if not bindings:
            return
        self._add(self._known(_ROLE_BINDINGS), bindings)
        roles = {obj["roleRef"]["name"] for obj in bindings}
        if objects := await self._companions(_ROLES):
            self._add(self._known(_ROLES), (obj for obj in objects if name_of(obj) in roles))

    async def _companions(self, kind: str) -> list[Object]:
        """Nothing if the kind is taken anyway, refused, or not served."""
        resource = self._discovery.find(kind)
        if resource is None or self._scope.kinds.takes(resource) or self._scope.kinds.refuses(resource):
            return []
        return [obj for obj in await self._list(resource) if labels_of(obj).get(EXCLUDE_LABEL) != "true"]

    def _known(self, kind: str) -> ResourceType:
        resource = self._discovery.find(kind)
        if resource is None:
            raise LookupError(kind)
        return resource

    async def _add_namespaces(self) -> None:
        """Every namespace in scope; with a label selector those it selects and those with something taken."""
        resource = self._known(NAMESPACES)
        listed = await self._list(resource)
        self._report_missing({name_of(obj) for obj in listed})
        filled = {namespace for _, namespace, _ in self._items}
        for obj in listed if self._scope.kinds.takes(resource) else ():
            name, labels = name_of(obj), labels_of(obj)
            if labels.get(EXCLUDE_LABEL) == "true" or not self._scope.namespaces.takes(name):
                continue
            if not self._scope.policy.takes(resource, "", name, labels):
                continue
            if not self._scope.narrowed or name in filled or self._scope.selection.takes(labels):
                self._add(resource, [obj])

    def _report_missing(self, existing: set[str]) -> None:
        for name in self._scope.namespaces.includes:
            if name not in existing and not any(sign in name for sign in "*?["):
                self._log.error(f'error getting namespace {name}: namespaces "{name}" not found', name)


def _subjects(binding: Object) -> set[tuple[str, str]]:
    return {
        (subject.get("namespace", ""), subject.get("name", ""))
        for subject in binding.get("subjects") or ()
        if subject.get("kind") == "ServiceAccount"
    }
