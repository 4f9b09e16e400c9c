"""Which objects a Backup or a Restore takes: the two families of resource filters, namespaces, labels, policies."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import EXCLUDE_LABEL, Object, labels_of, name_of, namespace_of
from app.sandbox.velero.discovery import Discovery
from app.sandbox.velero.filters import NameFilter, Selection
from app.sandbox.velero.policies import FilterPolicy

OLD_FIELDS = ("includedResources", "excludedResources", "includeClusterResources")
NEW_FIELDS = (
    "includedClusterScopedResources",
    "excludedClusterScopedResources",
    "includedNamespaceScopedResources",
    "excludedNamespaceScopedResources",
)
NAMESPACES = "namespaces"


def uses(spec: Mapping[str, Any], fields: Iterable[str]) -> bool:
    """Whether any of the fields says something; an explicit ``false`` does."""
    return any(spec.get(name) not in (None, [], "") for name in fields)


def resource_filter(spec: Mapping[str, Any], discovery: Discovery, included: str, excluded: str) -> NameFilter:
    """Lists of resources, each written as discovery names it (``deployments`` is ``deployments.apps``)."""

    def canonical(names: Iterable[str] | None) -> list[str]:
        found = ((name, discovery.find(name)) for name in names or ())
        return [resource.name if resource else name for name, resource in found]

    return NameFilter.of(canonical(spec.get(included)), canonical(spec.get(excluded)))


@dataclass(frozen=True)
class KindFilter:
    """``includedResources``, ``excludedResources`` and ``includeClusterResources``, of a Backup or a Restore."""

    resources: NameFilter
    cluster_resources: bool | None
    all_namespaces: bool

    def takes(self, resource: ResourceType) -> bool:
        """Cluster-scoped kinds by themselves only if asked for, or if nothing is left out of the namespaces."""
        if not resource.namespaced and resource.name != NAMESPACES:
            if self.cluster_resources is False:
                return False
            if self.cluster_resources is None and not self.all_namespaces:
                return False
        return self.resources.takes(resource.name)

    def refuses(self, resource: ResourceType) -> bool:
        """Whether an object of the kind may not come in even as a companion of another."""
        return self.resources.excluded(resource.name) or (not resource.namespaced and self.cluster_resources is False)


@dataclass(frozen=True)
class ScopedKindFilter:
    """The newer family: cluster-scoped and namespaced kinds have lists of their own."""

    namespaced: NameFilter
    cluster: NameFilter
    all_namespaces: bool

    def takes(self, resource: ResourceType) -> bool:
        if resource.namespaced:
            return not self._excluded(self.namespaced, resource) and self.namespaced.takes(resource.name)
        if self._excluded(self.cluster, resource):
            return False
        if resource.name == NAMESPACES:
            return True
        if self.cluster.includes:
            return self.cluster.takes(resource.name)
        return not self.cluster.excludes and self.all_namespaces and self.namespaced.everything

    def refuses(self, resource: ResourceType) -> bool:
        return self._excluded(self.namespaced if resource.namespaced else self.cluster, resource)

    @staticmethod
    def _excluded(names: NameFilter, resource: ResourceType) -> bool:
        return "*" in names.excludes or names.excluded(resource.name)


@dataclass(frozen=True)
class BackupScope:
    """Everything a prepared Backup specification says about what to take."""

    namespaces: NameFilter
    kinds: KindFilter | ScopedKindFilter
    selection: Selection
    policy: FilterPolicy = field(default_factory=FilterPolicy)

    @classmethod
    def of(cls, spec: Object, discovery: Discovery, policy: FilterPolicy) -> Self:
        namespaces = NameFilter.of(spec.get("includedNamespaces"), spec.get("excludedNamespaces"))
        scoped = {**spec, **(policy.include_exclude or {})}
        kinds: KindFilter | ScopedKindFilter
        if uses(scoped, NEW_FIELDS) or policy.filters:
            included, excluded = "includedNamespaceScopedResources", "excludedNamespaceScopedResources"
            cluster_included, cluster_excluded = "includedClusterScopedResources", "excludedClusterScopedResources"
            kinds = ScopedKindFilter(
                resource_filter(scoped, discovery, included, excluded),
                resource_filter(scoped, discovery, cluster_included, cluster_excluded),
                namespaces.everything,
            )
        else:
            resources = resource_filter(spec, discovery, "includedResources", "excludedResources")
            kinds = KindFilter(resources, spec.get("includeClusterResources"), namespaces.everything)
        return cls(namespaces, kinds, Selection.of(spec), policy)

    def takes(self, resource: ResourceType, obj: Object) -> bool:
        """For everything but namespaces, which follow what is in them."""
        labels, namespace = labels_of(obj), namespace_of(obj)
        if labels.get(EXCLUDE_LABEL) == "true" or not self.selection.takes(labels):
            return False
        if namespace and not self.namespaces.takes(namespace):
            return False
        return self.policy.takes(resource, namespace, name_of(obj), labels)

    @property
    def narrowed(self) -> bool:
        """Whether a namespace in scope may still have to prove that it is wanted."""
        return bool(self.selection.selectors)
