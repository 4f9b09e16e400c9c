"""Which objects of a tarball a Restore takes, and in which order of kinds."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Self

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import Object, labels_of
from app.sandbox.velero.archive import ArchiveKey
from app.sandbox.velero.discovery import Discovery
from app.sandbox.velero.filters import NameFilter, Selection
from app.sandbox.velero.policies import FilterPolicy
from app.sandbox.velero.scope import NAMESPACES, KindFilter, resource_filter

CRDS = "customresourcedefinitions.apiextensions.k8s.io"
NON_RESTORABLE = (
    "nodes",
    "events",
    "events.events.k8s.io",
    "backups.velero.io",
    "restores.velero.io",
    "resticrepositories.velero.io",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "backuprepositories.velero.io",
)
_FIRST = (
    CRDS,
    NAMESPACES,
    "storageclasses.storage.k8s.io",
    "volumesnapshotclasses.snapshot.storage.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
    "datauploads.velero.io",
    "persistentvolumes",
    "persistentvolumeclaims",
    "clusterroles.rbac.authorization.k8s.io",
    "roles.rbac.authorization.k8s.io",
    "serviceaccounts",
    "clusterrolebindings.rbac.authorization.k8s.io",
    "rolebindings.rbac.authorization.k8s.io",
    "secrets",
    "configmaps",
    "limitranges",
    "priorityclasses.scheduling.k8s.io",
    "pods",
    "replicasets.apps",
    "clusterclasses.cluster.x-k8s.io",
    "endpoints",
    "services",
)
_LAST = (
    "clusterbootstraps.run.tanzu.vmware.com",
    "clusters.cluster.x-k8s.io",
    "clusterresourcesets.addons.cluster.x-k8s.io",
    "apps.kappctrl.k14s.io",
    "packageinstalls.packaging.carvel.dev",
)


class PlannedItem(NamedTuple):
    """One object that is to be restored; ``resource`` has the version the object was saved in."""

    key: ArchiveKey
    resource: ResourceType
    content: Object


def restore_order(kind: str) -> tuple[int, int, str]:
    """A sort key: the named kinds first, then the alphabet, then the few that must come last."""
    if kind in _FIRST:
        return 0, _FIRST.index(kind), ""
    if kind in _LAST:
        return 2, _LAST.index(kind), ""
    return 1, 0, kind


@dataclass(frozen=True)
class RestoreScope:
    """Everything a Restore's specification says about what to take."""

    namespaces: NameFilter
    kinds: KindFilter
    selection: Selection
    policy: FilterPolicy

    @classmethod
    def of(cls, spec: Object, discovery: Discovery, policy: FilterPolicy) -> Self:
        namespaces = NameFilter.of(spec.get("includedNamespaces"), spec.get("excludedNamespaces"))
        resources = resource_filter(spec, discovery, "includedResources", "excludedResources")
        kinds = KindFilter(resources, spec.get("includeClusterResources"), namespaces.everything)
        return cls(namespaces, kinds, Selection.of(spec), policy)

    def takes_kind(self, key: ArchiveKey, resource: ResourceType) -> bool:
        if not self.kinds.takes(resource):
            return False
        namespace = key.name if key.resource == NAMESPACES else key.namespace
        return not namespace or self.namespaces.takes(namespace)

    def takes(self, item: PlannedItem) -> bool:
        labels = labels_of(item.content)
        return self.selection.takes(labels) and self.policy.takes(
            item.resource, item.key.namespace, item.key.name, labels
        )


def planned_items(
    contents: Mapping[ArchiveKey, bytes], scope: RestoreScope, discovery: Discovery
) -> Iterator[PlannedItem]:
    """In the order of restoring. JSON that cannot be read raises ValueError."""
    for key in sorted(contents, key=lambda key: (restore_order(key.resource), key)):
        plural, _, group = key.resource.partition(".")
        bare = ResourceType(group, "", plural, "", namespaced=bool(key.namespace))
        if not scope.takes_kind(key, bare):
            continue
        content: Object = json.loads(contents[key])
        item = PlannedItem(key, _resource_of(key, content, discovery), content)
        if scope.takes(item):
            yield item


def _resource_of(key: ArchiveKey, content: Object, discovery: Discovery) -> ResourceType:
    """As the object was saved; a kind that is not served yet is told by the object alone."""
    plural, _, group = key.resource.partition(".")
    known = discovery.find(key.resource)
    return ResourceType(
        group=group,
        version=str(content["apiVersion"]).rpartition("/")[2],
        plural=plural,
        kind=str(content["kind"]),
        namespaced=bool(key.namespace),
        aliases=known.aliases if known else (str(content["kind"]).lower(),),
    )
