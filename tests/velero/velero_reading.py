"""Velero 1.18.3's own reading of a Backup's specification, written down again from its source for the tests.

Sources: pkg/util/collections/includes_excludes.go, pkg/backup/item_collector.go and item_backupper.go. It reads only
the rendered documents and shares no code with ``app.velero``.
"""

from fnmatch import fnmatchcase
from typing import Any

from app.kubernetes.resources import Resource

Document = dict[str, Any]


def takes(spec: Document, policy: Document, resource: Resource, metadata: Document) -> bool:
    """Whether the primary collection puts an object that is no Namespace into the backup."""
    labels, namespace = metadata.get("labels") or {}, metadata.get("namespace") or ""
    if labels.get("velero.io/exclude-from-backup") == "true" or not _takes_kind(spec, resource):
        return False
    if namespace and not _within(namespace, spec["includedNamespaces"], spec["excludedNamespaces"]):
        return False
    rule = _rule(policy, resource, namespace)
    if rule is None:
        return not namespace and _selected(spec.get("labelSelector"), labels)
    return (
        _listed(spec, policy, resource, labels)
        and _passes_selectors(rule, labels)
        and _within(metadata["name"], rule.get("names") or ["*"], rule.get("excludedNames") or [])
    )


def _listed(spec: Document, policy: Document, resource: Resource, labels: dict[str, str]) -> bool:
    """One list over all namespaces is made with the selectors of the rule that a glob gives to the empty namespace,
    which replace the global selector."""
    if "*" not in spec["includedNamespaces"] or not resource.namespaced:
        return True
    entries = [entry for entry in policy["namespacedFilterPolicies"] if "*" in entry["namespaces"]]
    rule = _of_kind(entries[0], resource) if entries else None
    return _passes_selectors(rule, labels) if rule else _selected(spec.get("labelSelector"), labels)


def _takes_kind(spec: Document, resource: Resource) -> bool:
    scope = "NamespaceScopedResources" if resource.namespaced else "ClusterScopedResources"
    included, excluded = spec.get(f"included{scope}") or [], spec.get(f"excluded{scope}") or []
    if _any(resource.group_resource, excluded):
        return False
    if resource.namespaced and not included:
        return True
    return _any(resource.group_resource, included) or resource.plural in included


def _rule(policy: Document, resource: Resource, namespace: str) -> Document | None:
    if not namespace:
        rules = policy["clusterScopedFilterPolicy"]["resourceFilters"]
        return next((rule for rule in rules if resource.plural in rule["kinds"]), None)
    entries = policy["namespacedFilterPolicies"]
    exact = [entry for entry in entries if namespace in entry["namespaces"]]
    globs = [entry for entry in entries if _any(namespace, entry["namespaces"])]
    return _of_kind((exact or globs)[0], resource)


def _of_kind(entry: Document, resource: Resource) -> Document | None:
    rules = entry["resourceFilters"]
    named = [rule for rule in rules if resource.plural in rule["kinds"]]
    catch_all = [rule for rule in rules if rule["kinds"] == ["*"]]
    return next(iter(named + catch_all), None)


def _passes_selectors(rule: Document, labels: dict[str, str]) -> bool:
    either = rule.get("orLabelSelectors")
    if either and not any(_selected(selector, labels) for selector in either):
        return False
    return _selected(rule.get("labelSelector"), labels)


def _selected(selector: Document | None, labels: dict[str, str]) -> bool:
    for term in (selector or {}).get("matchExpressions") or []:
        key, values = term["key"], term.get("values") or []
        holds = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not holds[term["operator"]]:
            return False
    return True


def _within(name: str, included: list[str], excluded: list[str]) -> bool:
    return not _any(name, excluded) and _any(name, included)


def _any(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
