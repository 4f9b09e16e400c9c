"""Velero 1.18.3's filter policies as values: rendered into the ConfigMap, and applied here in the same way.

Rules of the real server that shape this (velero internal/resourcepolicies, pkg/backup/item_collector.go and
pkg/restore/restore.go at v1.18.3):

* A kind may stand in one filter of a policy only; a catch-all takes no names; cluster-scoped filters need kinds.
* For a namespace with rules, they are an exclusive allow-list; its exact name beats a glob, else the first glob.
* **A filter's selector replaces the global label selector**, so a selector that narrows everything must be part
  of every filter.
* In a Backup, kinds are looked up as bare plurals (``clusterroles``); with a group they still match, but each
  leaves a warning. In a Restore, ``plural.group`` is looked up properly.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

from app.velero.selectors import Selector, label_selector, selects


@dataclass(frozen=True)
class Filter:
    """One rule for some kinds, written ``plural`` or ``plural.group``; without kinds, for those no other rule names.

    ``any_of``: selectors of which one must hold; none takes every label. Excluded names win over names.
    """

    kinds: tuple[str, ...] = ()
    any_of: tuple[Selector, ...] = ()
    names: tuple[str, ...] = ()
    excluded_names: tuple[str, ...] = ()

    def takes(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether an object of one of the kinds passes."""
        if _matches(name, self.excluded_names) or (self.names and not _matches(name, self.names)):
            return False
        return not self.any_of or any(selects(selector, labels) for selector in self.any_of)

    def narrowed(self, selector: Selector) -> "Filter":
        """The same rule for objects that fulfil ``selector`` as well."""
        if not selector:
            return self
        return replace(self, any_of=tuple(mine + selector for mine in self.any_of or ((),)))

    def document(self, *, bare_kinds: bool) -> dict[str, Any]:
        """The rule as Velero reads it."""
        kinds = [kind.partition(".")[0] for kind in self.kinds] if bare_kinds else list(self.kinds)
        rule: dict[str, Any] = {"kinds": kinds or ["*"]}
        if len(self.any_of) == 1:
            rule["labelSelector"] = label_selector(self.any_of[0])
        elif self.any_of:
            rule["orLabelSelectors"] = [label_selector(selector) for selector in self.any_of]
        if self.names:
            rule["names"] = list(self.names)
        if self.excluded_names:
            rule["excludedNames"] = list(self.excluded_names)
        return rule


@dataclass(frozen=True)
class NamespaceRules:
    """The allow-list for some namespaces, given by names or globs."""

    namespaces: tuple[str, ...]
    filters: tuple[Filter, ...]


@dataclass(frozen=True)
class Policy:
    """All filters of one ConfigMap."""

    namespaced: tuple[NamespaceRules, ...] = ()
    cluster: tuple[Filter, ...] = ()

    def filters(self, resource: str, namespace: str) -> list[Filter]:
        """Those of which one must take an object; ``resource`` is ``plural.group``, ``namespace`` may be empty."""
        if not namespace:
            return _for_kind(self.cluster, resource) or [Filter()]
        rules = self._rules_of(namespace)
        if rules is None:
            return [Filter()]
        return _for_kind(rules.filters, resource) or [rule for rule in rules.filters if not rule.kinds]

    def _rules_of(self, namespace: str) -> NamespaceRules | None:
        exact = (rules for rules in self.namespaced if namespace in rules.namespaces)
        globs = (rules for rules in self.namespaced if _matches(namespace, rules.namespaces))
        return next(exact, None) or next(globs, None)

    def narrowed(self, selector: Selector) -> "Policy":
        """The same policy for objects that fulfil ``selector`` as well."""
        return Policy(
            tuple(
                replace(rules, filters=tuple(rule.narrowed(selector) for rule in rules.filters))
                for rules in self.namespaced
            ),
            tuple(rule.narrowed(selector) for rule in self.cluster),
        )

    def document(self, *, bare_kinds: bool = False) -> dict[str, Any]:
        """The policy as Velero reads it; an empty part is left out, as Velero demands."""
        document: dict[str, Any] = {"version": "v1"}
        if self.namespaced:
            document["namespacedFilterPolicies"] = [
                {
                    "namespaces": list(rules.namespaces),
                    "resourceFilters": [rule.document(bare_kinds=bare_kinds) for rule in rules.filters],
                }
                for rules in self.namespaced
            ]
        if self.cluster:
            document["clusterScopedFilterPolicy"] = {
                "resourceFilters": [rule.document(bare_kinds=bare_kinds) for rule in self.cluster]
            }
        return document


def exact_names(names: Iterable[str]) -> tuple[str, ...]:
    """Names that must not be read as globs: what is special in one stands alone in a character class."""
    return tuple(sorted("".join(f"[{sign}]" if sign in "*?[{" else sign for sign in name) for name in set(names)))


def _for_kind(filters: Iterable[Filter], resource: str) -> list[Filter]:
    return [rule for rule in filters if resource in rule.kinds]


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)
