"""What a backup takes and what a restore brings back: said to Velero, and decided here from the same rules.

Left out is what a cluster makes by itself and what must not be carried into another one. A backup made with
``backup_spec`` and ``backup_policy`` holds every object for which ``in_scope`` is true; item actions of Velero may
bring in a few more (the ClusterRole of a ServiceAccount's binding, for example).
"""

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from app.kubernetes.resources import API_SERVICES, CLUSTER_ROLE_BINDINGS, CRDS, Resource
from app.velero.errors import InvalidScope
from app.velero.filters import Filter, NamespaceRules, Policy
from app.velero.models import EXCLUDE_LABEL
from app.velero.restoring import (
    EXCLUDED_NAMESPACES,
    FullRestore,
    RestorePlan,
    full_restore_specs,
    repair_spec,
    selective_restore_spec,
)
from app.velero.selectors import Requirement, Selector, label_selector, parse_selector, selects

__all__ = [
    "FULL",
    "KUBE_SYSTEM",
    "FullRestore",
    "RestorePlan",
    "Scope",
    "backup_policy",
    "backup_spec",
    "collected",
    "decider",
    "full_restore_specs",
    "in_scope",
    "repair_spec",
    "selective_restore_spec",
]

KECS_SYSTEM = "kecs-system"
KUBE_SYSTEM = "kube-system"
NAMESPACES_KIND = "namespaces"

#: Rewritten by controllers within seconds, or (snapshots) left out by Velero itself.
EXCLUDED_NAMESPACED = (
    "events",
    "events.events.k8s.io",
    "endpoints",
    "endpointslices.discovery.k8s.io",
    "leases.coordination.k8s.io",
    "volumesnapshots.snapshot.storage.k8s.io",
)
#: Made by the API server, the node or the volume driver, or left out by Velero itself.
EXCLUDED_CLUSTER_SCOPED = (
    "nodes",
    "csinodes.storage.k8s.io",
    "volumeattachments.storage.k8s.io",
    "flowschemas.flowcontrol.apiserver.k8s.io",
    "prioritylevelconfigurations.flowcontrol.apiserver.k8s.io",
    "ipaddresses.networking.k8s.io",
    "servicecidrs.networking.k8s.io",
    "volumesnapshotcontents.snapshot.storage.k8s.io",
)
#: The same objects served by two groups; the first group that is served counts (velero item_collector.go).
COHABITING = {
    "deployments": ("apps", "extensions"),
    "daemonsets": ("apps", "extensions"),
    "replicasets": ("apps", "extensions"),
    "networkpolicies": ("networking.k8s.io", "extensions"),
    "ingresses": ("networking.k8s.io", "extensions"),
    "events": ("", "events.k8s.io"),
}
#: Velero collects only what can be listed, read, made and deleted (velero pkg/discovery/helper.go).
COLLECTED_VERBS = frozenset({"list", "create", "get", "delete"})
#: "876000h" as Velero writes it: a hundred years, since an expired backup is deleted as soon as Velero starts.
TTL = "876000h0m0s"
#: Keeps a list of kinds from becoming empty, which would mean "all", when none of them is of that scope.
NO_KIND = "none.kecs-state.invalid"

_RBAC = CLUSTER_ROLE_BINDINGS.group

# What users of KECS made in its own namespace; KECS does not bring these back by itself. The labels are those
# KECS writes (elbv2/integration_k8s.go, elbv2/rule_manager.go, sync/rbac.go); its own Traefik carries the proxies'
# component label but none of a load balancer.
_SYNCED: Selector = (Requirement("kecs.io/managed-by", "In", ("kecs",)),)
_LOAD_BALANCING: tuple[Selector, ...] = (
    (Requirement("kecs.io/elbv2-load-balancer-name", "Exists"),),
    (Requirement("kecs.io/elbv2-load-balancer", "Exists"),),
    (Requirement("kecs.io/elbv2-listener", "Exists"),),
    (Requirement("kecs.io/elbv2-target-group-name", "Exists"),),
    (Requirement("kecs.io/elbv2-target-group", "Exists"),),
    (Requirement("kecs.io/component", "In", ("elbv2-listener", "elbv2-rule", "elbv2-target", "target-group")),),
    (Requirement("kecs.io/component", "In", ("elbv2-proxy",)), Requirement("app", "NotIn", ("traefik",))),
)
_NOT_VELEROS = Requirement("component", "NotIn", ("velero",))

#: What lies on another server stays there; a file-system backup would copy all of it.
_NO_NFS = {"conditions": {"nfs": {}}, "action": {"type": "skip"}}

_RULES = Policy(
    namespaced=(
        NamespaceRules(
            (KECS_SYSTEM,),
            (
                Filter(kinds=("secrets", "configmaps", f"rolebindings.{_RBAC}"), any_of=(_SYNCED, *_LOAD_BALANCING)),
                Filter(any_of=_LOAD_BALANCING),
            ),
        ),
        NamespaceRules((KUBE_SYSTEM,), (Filter(kinds=("configmaps",), names=("coredns-custom",)),)),
        NamespaceRules(("*",), (Filter(kinds=("configmaps",), excluded_names=("kube-root-ca.crt",)), Filter())),
    ),
    cluster=(
        Filter(
            kinds=(f"clusterroles.{_RBAC}", CLUSTER_ROLE_BINDINGS.group_resource),
            any_of=((Requirement("kubernetes.io/bootstrapping", "DoesNotExist"), _NOT_VELEROS),),
        ),
        Filter(kinds=(CRDS.group_resource,), any_of=((_NOT_VELEROS,),), excluded_names=("*.velero.io",)),
        Filter(
            kinds=(API_SERVICES.group_resource,),
            any_of=((Requirement("kube-aggregator.kubernetes.io/automanaged", "DoesNotExist"),),),
        ),
        Filter(kinds=("priorityclasses.scheduling.k8s.io",), excluded_names=("system-*",)),
    ),
)


class Scope(BaseModel):
    """Which part of a cluster a backup is about.

    ``partial`` says that a caller asked for less than everything. A scope may leave namespaces out (they are being
    deleted, say) and be full all the same. Names of namespaces may be globs; ``resources`` are written ``plural`` or
    ``plural.group``. With namespaces given, cluster-scoped objects are taken only where ``resources`` names them.
    ``volumes``: save those of running pods file by file.
    """

    model_config = ConfigDict(frozen=True)

    namespaces: list[str] | None = None
    excluded_namespaces: list[str] = []
    resources: list[str] = []
    selector: str = ""
    volumes: bool = False
    partial: bool = False
    velero_namespace: str = "velero"

    @model_validator(mode="after")
    def _sayable(self) -> Self:
        parse_selector(self.selector)
        if self.namespaces and not self.included_namespaces:
            raise InvalidScope(
                f"none of the namespaces {', '.join(self.namespaces)} is ever saved",
                remedy="Name namespaces of your own.",
                field="include_namespaces",
            )
        if self.resources and not self.included_resources:
            raise InvalidScope(
                f"none of the resources {', '.join(self.resources)} is ever saved",
                remedy="Name resources that do not belong to the node or to controllers.",
                field="resources",
            )
        return self

    @property
    def full(self) -> bool:
        """Whether a backup of this scope may stand for the whole instance."""
        return not self.partial

    @property
    def left_out_namespaces(self) -> list[str]:
        """Every namespace the scope leaves out by name, sorted."""
        return sorted({*EXCLUDED_NAMESPACES, self.velero_namespace, *self.excluded_namespaces})

    @property
    def included_namespaces(self) -> list[str]:
        """The namespaces asked for, less those left out; Velero refuses a name in both lists."""
        return sorted(set(self.namespaces or ()) - set(self.left_out_namespaces))

    @property
    def included_resources(self) -> list[str]:
        """The resources asked for, lower case, less those never taken."""
        never = {*EXCLUDED_NAMESPACED, *EXCLUDED_CLUSTER_SCOPED}
        return sorted({name.lower() for name in self.resources} - never)

    @property
    def terms(self) -> Selector:
        """The selector's terms."""
        return parse_selector(self.selector)

    def takes_namespace(self, name: str) -> bool:
        """Whether objects of this namespace are looked at."""
        if any(fnmatchcase(name, pattern) for pattern in self.left_out_namespaces):
            return False
        return not self.namespaces or any(fnmatchcase(name, pattern) for pattern in self.included_namespaces)

    def takes_kind(self, resource: Resource) -> bool:
        """Whether any object of this type is looked at, before labels and names."""
        kind = resource.group_resource
        if kind in EXCLUDED_NAMESPACED or kind in EXCLUDED_CLUSTER_SCOPED:
            return False
        if self.resources:
            return bool({kind, resource.plural} & set(self.included_resources))
        return resource.namespaced or not self.namespaces

    def filters(self, resource: Resource, namespace: str) -> list[Filter]:
        """Those of which one must take an object of this type there; none where no object is looked at."""
        if not self.takes_kind(resource) or (namespace and not self.takes_namespace(namespace)):
            return []
        return _RULES.filters(resource.group_resource, namespace)


FULL = Scope()


def in_scope(resource: Resource, metadata: Mapping[str, Any], scope: Scope = FULL) -> bool:
    """Whether a backup of ``scope`` takes an object, known by its type and its metadata.

    An object being deleted is not taken. A namespace labelled ``velero.io/exclude-from-backup=true`` is left out by
    Velero with all that is in it; name it in ``excluded_namespaces``, since its objects do not tell.
    """
    return decider(resource, scope)(metadata)


def decider(resource: Resource, scope: Scope = FULL) -> Callable[[Mapping[str, Any]], bool]:
    """``in_scope`` for many objects of one type: what their namespace decides is found out once for each namespace."""
    terms, is_namespace = scope.terms, resource.group_resource == NAMESPACES_KIND
    filters = cache(partial(scope.filters, resource))

    def takes(metadata: Mapping[str, Any]) -> bool:
        labels, name = metadata.get("labels") or {}, metadata["name"]
        if labels.get(EXCLUDE_LABEL) == "true" or metadata.get("deletionTimestamp") or not selects(terms, labels):
            return False
        if is_namespace:
            return scope.takes_namespace(name)
        return any(rule.takes(name, labels) for rule in filters(metadata.get("namespace") or ""))

    return takes


def collected(resources: Iterable[Resource], scope: Scope = FULL) -> list[Resource]:
    """Of everything discovery offers, the types a backup of ``scope`` looks at; each object under one type only."""
    offered = list(resources)
    served = {(resource.plural, resource.group) for resource in offered}
    return [
        resource
        for resource in offered
        if resource.verbs >= COLLECTED_VERBS
        and (resource.group_resource == NAMESPACES_KIND or scope.takes_kind(resource))
        and not _second_home(resource, served)
    ]


def _second_home(resource: Resource, served: set[tuple[str, str]]) -> bool:
    groups = COHABITING.get(resource.plural, ())
    if resource.group not in groups:
        return False
    return any((resource.plural, group) in served for group in groups[: groups.index(resource.group)])


def backup_policy(scope: Scope = FULL) -> dict[str, Any]:
    """The resource policy a backup of ``scope`` refers to."""
    policy = _RULES.narrowed(scope.terms).document(bare_kinds=True)
    return policy | {"volumePolicies": [_NO_NFS]} if scope.volumes else policy


def backup_spec(scope: Scope, *, policy_name: str, storage_location: str = "default") -> dict[str, Any]:
    """A Backup's specification; ``policy_name`` is the ConfigMap that holds ``backup_policy(scope)``.

    Only the newer family of resource filters is used: the older one must not be mixed with filter policies.
    """
    spec: dict[str, Any] = {
        "storageLocation": storage_location,
        "ttl": TTL,
        "snapshotVolumes": False,
        "defaultVolumesToFsBackup": scope.volumes,
        "includedNamespaces": scope.included_namespaces or ["*"],
        "excludedNamespaces": scope.left_out_namespaces,
        "excludedNamespaceScopedResources": list(EXCLUDED_NAMESPACED),
        "excludedClusterScopedResources": list(EXCLUDED_CLUSTER_SCOPED),
        "resourcePolicy": {"kind": "configmap", "name": policy_name},
    }
    if scope.resources:
        kinds = _kinds_in_any_group(scope.included_resources)
        spec |= {"includedNamespaceScopedResources": kinds, "includedClusterScopedResources": kinds}
    elif not scope.namespaces:
        spec["includedClusterScopedResources"] = ["*"]
    if scope.terms:
        spec["labelSelector"] = label_selector(scope.terms)
    return spec


def _kinds_in_any_group(resources: Iterable[str]) -> list[str]:
    """Each bare plural also as a glob over groups: Velero would pick one group of several."""
    kinds = [NO_KIND]
    for name in resources:
        kinds += [name] if "." in name else [name, f"{name}.*"]
    return kinds
