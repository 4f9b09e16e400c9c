"""Resource policies of 1.18.3: filter rules in a ConfigMap that a Backup or a Restore refers to."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import yaml

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import Object
from app.sandbox.velero.filters import Selection, matches_name

_POLICY_KEYS = {
    "version", "volumePolicies", "includeExcludePolicy", "namespacedFilterPolicies", "clusterScopedFilterPolicy",
}  # fmt: skip
_FILTER_KEYS = {"kinds", "labelSelector", "orLabelSelectors", "names", "excludedNames"}


class PolicyError(Exception):
    """The ConfigMap's content is not a policy."""


@dataclass(frozen=True)
class ResourceFilter:
    """One rule; without kinds it is the catch-all for the kinds no other rule names."""

    kinds: frozenset[str]
    selection: Selection
    names: tuple[str, ...]
    excluded_names: tuple[str, ...]

    @classmethod
    def of(cls, rule: Object) -> Self:
        _refuse_unknown(rule, _FILTER_KEYS)
        kinds = frozenset(str(kind).lower() for kind in rule.get("kinds") or ())
        return cls(
            frozenset() if "*" in kinds else kinds,
            Selection.of(rule),
            tuple(rule.get("names") or ()),
            tuple(rule.get("excludedNames") or ()),
        )

    def names_kind(self, resource: ResourceType) -> bool:
        group = f".{resource.group}" if resource.group else ""
        known = {resource.kind.lower(), resource.plural, resource.name, *resource.aliases}
        known |= {f"{alias}{group}" for alias in tuple(known)}
        return bool(self.kinds & known)

    def takes(self, name: str, labels: Mapping[str, str]) -> bool:
        if matches_name(name, self.excluded_names):
            return False
        return (not self.names or matches_name(name, self.names)) and self.selection.takes(labels)


@dataclass(frozen=True)
class FilterRules:
    """The rules for one set of namespaces, or for the cluster-scoped kinds."""

    rules: tuple[ResourceFilter, ...]

    @classmethod
    def of(cls, rules: Iterable[Object] | None) -> Self:
        return cls(tuple(ResourceFilter.of(rule) for rule in rules or ()))

    def for_kind(self, resource: ResourceType) -> list[ResourceFilter]:
        named = [rule for rule in self.rules if rule.names_kind(resource)]
        return named or [rule for rule in self.rules if not rule.kinds]


@dataclass(frozen=True)
class FilterPolicy:
    """All of a ConfigMap's filters; the empty policy takes everything."""

    namespaced: tuple[tuple[tuple[str, ...], FilterRules], ...] = ()
    cluster: FilterRules = FilterRules(())
    include_exclude: Mapping[str, Any] | None = None

    @property
    def filters(self) -> bool:
        return bool(self.namespaced or self.cluster.rules)

    def takes(self, resource: ResourceType, namespace: str, name: str, labels: Mapping[str, str]) -> bool:
        """In a namespace with rules only what a rule takes; cluster-scoped kinds without a rule are taken."""
        if namespace:
            rules = self._rules_of(namespace)
            return rules is None or any(rule.takes(name, labels) for rule in rules.for_kind(resource))
        cluster = self.cluster.for_kind(resource)
        return not cluster or any(rule.takes(name, labels) for rule in cluster)

    def _rules_of(self, namespace: str) -> FilterRules | None:
        """An exact name beats a glob; among equals the first."""
        for names, rules in self.namespaced:
            if namespace in names:
                return rules
        return next((rules for names, rules in self.namespaced if matches_name(namespace, names)), None)


def parse_policy(config_map: Object) -> FilterPolicy:
    """Raises PolicyError with the reason Velero would put into ``validationErrors``."""
    data = config_map.get("data") or {}
    if len(data) != 1:
        raise PolicyError(f"illegal resource policies {config_map['metadata']['name']} configmap")
    try:
        policy = yaml.safe_load(next(iter(data.values())))
    except yaml.YAMLError as error:
        raise PolicyError(f"failed to decode yaml data into resource policies: {error}") from error
    if not isinstance(policy, dict) or policy.get("version") != "v1":
        raise PolicyError("incompatible version number in resource policies, it must be v1")
    _refuse_unknown(policy, _POLICY_KEYS)
    try:
        return FilterPolicy(
            namespaced=tuple(_namespaced(entry) for entry in policy.get("namespacedFilterPolicies") or ()),
            cluster=FilterRules.of((policy.get("clusterScopedFilterPolicy") or {}).get("resourceFilters")),
            include_exclude=policy.get("includeExcludePolicy"),
        )
    except (AttributeError, TypeError) as error:
        raise PolicyError(f"failed to decode yaml data into resource policies: {error}") from error


def _namespaced(entry: Object) -> tuple[tuple[str, ...], FilterRules]:
    _refuse_unknown(entry, {"namespaces", "resourceFilters"})
    if not entry.get("namespaces"):
        raise PolicyError("namespacedFilterPolicies: namespaces must not be empty")
    return tuple(entry["namespaces"]), FilterRules.of(entry.get("resourceFilters"))


def _refuse_unknown(mapping: Object, known: set[str]) -> None:
    unknown = sorted(set(mapping) - known)
    if unknown:
        raise PolicyError(f"failed to decode yaml data into resource policies: field {unknown[0]} not found")
