"""Specifications of Restores: everything, a repair by exact names, or a selected part.

A Restore's filter policy needs Velero 1.18.3 and its CRDs: an older CRD drops the reference in silence, and the
Restore then brings back everything. Waking the stack checks that.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple, Protocol

from app.kubernetes.resources import DEPLOYMENTS, MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS
from app.velero.filters import Filter, NamespaceRules, Policy, exact_names
from app.velero.selectors import Selector, label_selector, parse_selector

#: Never saved and never restored into; Velero's own namespace comes on top.
EXCLUDED_NAMESPACES = ("kube-public", "kube-node-lease")
WEBHOOK_KINDS = (MUTATING_WEBHOOKS.group_resource, VALIDATING_WEBHOOKS.group_resource)
#: KECS makes it anew, with a new CA, whenever its server starts; a stale one silently does nothing.
KECS_WEBHOOK = "kecs-webhook-config"
#: Their controllers adopt these by label; without them a Deployment would lose its history.
RESTORED_THOUGH_CONTROLLED = frozenset({"replicasets.apps", "controllerrevisions.apps"})

ExistingPolicy = Literal["none", "update"]


class ObjectName(Protocol):
    """An object by name; ``resource`` is ``plural.group``, ``namespace`` empty for cluster-scoped ones."""

    @property
    def resource(self) -> str: ...
    @property
    def namespace(self) -> str: ...
    @property
    def name(self) -> str: ...


class RestorePlan(NamedTuple):
    """A Restore's filter policy, if it needs one, and its specification without the reference to the policy."""

    policy: dict[str, Any] | None
    spec: dict[str, Any]


class FullRestore(NamedTuple):
    """The three Restores of a full restore, in order; None where nothing is to be done."""

    everything: RestorePlan
    poorer_deployments: RestorePlan | None
    webhooks: RestorePlan | None


def full_restore_specs(
    backup: str,
    *,
    left_to_controllers: Iterable[ObjectName] = (),
    poorer_deployments: Iterable[ObjectName] = (),
    webhooks: Iterable[ObjectName] | None = None,
    velero_namespace: str = "velero",
) -> FullRestore:
    """Bring back a whole backup.

    ``left_to_controllers``: objects of the tar whose controller is in it too. ``poorer_deployments``: those that
    exist with less than the backup has. ``webhooks``: the configurations whose backend answers; None means all.
    """
    return FullRestore(
        everything_spec(backup, left_to_controllers, velero_namespace=velero_namespace),
        update_deployments_spec(backup, poorer_deployments),
        webhooks_spec(backup, webhooks),
    )


def everything_spec(
    backup: str, left_to_controllers: Iterable[ObjectName] = (), *, velero_namespace: str = "velero"
) -> RestorePlan:
    """Everything but webhook configurations; what exists is left as it is."""
    spec = _spec(backup) | {
        "includedNamespaces": ["*"],
        "excludedNamespaces": _never(velero_namespace),
        "excludedResources": list(WEBHOOK_KINDS),
        "includeClusterResources": True,
    }
    return RestorePlan(_policy_leaving_out(left_to_controllers), spec)


def update_deployments_spec(backup: str, deployments: Iterable[ObjectName]) -> RestorePlan | None:
    """Exactly these Deployments, and what exists becomes what the backup has; None without any."""
    named = [item for item in deployments if item.resource == DEPLOYMENTS.group_resource]
    return _by_name(backup, named, existing="update") if named else None


def webhooks_spec(backup: str, webhooks: Iterable[ObjectName] | None = None) -> RestorePlan | None:
    """Webhook configurations, all of them or those named, but never KECS's own; None if none is left."""
    if webhooks is not None:
        named = [item for item in webhooks if item.resource in WEBHOOK_KINDS and item.name != KECS_WEBHOOK]
        return _by_name(backup, named) if named else None
    policy = Policy(cluster=(Filter(kinds=WEBHOOK_KINDS, excluded_names=exact_names([KECS_WEBHOOK])),))
    spec = _spec(backup) | {"includedResources": list(WEBHOOK_KINDS), "includeClusterResources": True}
    return RestorePlan(policy.document(), spec)


def repair_spec(backup: str, missing: Iterable[ObjectName]) -> RestorePlan:
    """Exactly the missing objects. Raises ValueError without any: an empty list would restore everything."""
    named = list(missing)
    if not named:
        raise ValueError("a repair needs at least one object")
    return _by_name(backup, named)


def selective_restore_spec(
    backup: str,
    *,
    namespaces: Iterable[str] = (),
    resources: Iterable[str] = (),
    selector: str = "",
    existing_resource_policy: ExistingPolicy = "none",
    left_to_controllers: Iterable[ObjectName] = (),
    velero_namespace: str = "velero",
) -> RestorePlan:
    """A part of a backup; cluster-scoped objects only when no namespace is named.

    Webhook configurations come back only when ``resources`` names them.
    """
    never = _never(velero_namespace)
    included = sorted(set(namespaces) - set(never))
    kinds = sorted({name.lower() for name in resources})
    terms = parse_selector(selector)
    spec = _spec(backup, existing_resource_policy) | {
        "includedNamespaces": included or ["*"],
        "excludedNamespaces": never,
        "includeClusterResources": not included,
    }
    if kinds:
        spec["includedResources"] = kinds
    else:
        spec["excludedResources"] = list(WEBHOOK_KINDS)
    if terms:
        spec["labelSelector"] = label_selector(terms)
    return RestorePlan(_policy_leaving_out(left_to_controllers, terms), spec)


def _spec(backup: str, existing: ExistingPolicy = "none") -> dict[str, Any]:
    return {"backupName": backup, "existingResourcePolicy": existing}


def _never(velero_namespace: str) -> list[str]:
    return sorted({*EXCLUDED_NAMESPACES, velero_namespace})


def _policy_leaving_out(objects: Iterable[ObjectName], terms: Selector = ()) -> dict[str, Any] | None:
    """All but these objects. A namespace with rules ignores the global selector, so ``terms`` are in each rule."""
    left = [item for item in objects if item.resource not in RESTORED_THOUGH_CONTROLLED]
    if not left:
        return None
    return (
        _rules(left, lambda kind, names: Filter((kind,), excluded_names=names), [Filter()]).narrowed(terms).document()
    )


def _by_name(backup: str, objects: list[Any], *, existing: ExistingPolicy = "none") -> RestorePlan:
    policy = _rules(objects, lambda kind, names: Filter((kind,), names=names), [])
    namespaces = sorted({item.namespace for item in objects if item.namespace})
    spec = _spec(backup, existing) | {
        "includedNamespaces": namespaces or ["*"],
        "includedResources": sorted({item.resource for item in objects}),
        "includeClusterResources": any(not item.namespace for item in objects),
    }
    return RestorePlan(policy.document(), spec)


def _rules(objects: Iterable[ObjectName], rule: Callable[[str, tuple[str, ...]], Filter], rest: list[Filter]) -> Policy:
    """One rule per kind and namespace, made of its objects' names; ``rest`` follows in every namespace."""
    by_place: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for item in objects:
        by_place[item.namespace][item.resource].append(item.name)

    def filters(kinds: Mapping[str, list[str]]) -> tuple[Filter, ...]:
        return tuple(rule(kind, exact_names(kinds[kind])) for kind in sorted(kinds))

    cluster = filters(by_place.pop("", {}))
    namespaced = (NamespaceRules((place,), (*filters(by_place[place]), *rest)) for place in sorted(by_place))
    return Policy(tuple(namespaced), cluster)
