"""Which names and labels a specification takes: include and exclude lists with globs, label selectors."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Self

from app.sandbox.objects import Object


@dataclass(frozen=True)
class NameFilter:
    """Excludes win; no includes means everything."""

    includes: tuple[str, ...] = ()
    excludes: tuple[str, ...] = ()

    @classmethod
    def of(cls, includes: Iterable[str] | None, excludes: Iterable[str] | None) -> Self:
        return cls(tuple(includes or ()), tuple(excludes or ()))

    @property
    def everything(self) -> bool:
        return not self.excludes and (not self.includes or "*" in self.includes)

    def excluded(self, name: str) -> bool:
        return _matches(name, self.excludes)

    def takes(self, name: str) -> bool:
        return not self.excluded(name) and (not self.includes or _matches(name, self.includes))

    def errors(self, *, may_exclude_all: bool = False) -> list[str]:
        """What Velero's validation says about the two lists."""
        found = []
        if len(self.includes) > 1 and "*" in self.includes:
            found.append("includes list must either contain '*' only, or a non-empty list of items")
        if "*" in self.excludes and not may_exclude_all:
            found.append("excludes list cannot contain '*'")
        both = sorted(set(self.includes) & set(self.excludes))
        found += [f"excludes list cannot contain an item in the includes list: {name}" for name in both]
        for name in (*self.includes, *self.excludes):
            if "**" in name or any(sign in name for sign in "|()!{},"):
                found.append(f"invalid pattern {name}")
        return found


def _matches(name: str, patterns: Iterable[str]) -> bool:
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)


def matches_name(name: str, patterns: Iterable[str]) -> bool:
    """Exact names or globs."""
    return _matches(name, patterns)


def selects(selector: Object, labels: Mapping[str, str]) -> bool:
    """A metav1.LabelSelector. Raises ValueError for an operator Kubernetes does not know."""
    for key, value in (selector.get("matchLabels") or {}).items():
        if labels.get(key) != value:
            return False
    return all(_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _holds(expression: Object, labels: Mapping[str, str]) -> bool:
    key, values = expression["key"], expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
    raise ValueError(f'"{expression["operator"]}" is not a valid label selector operator')


@dataclass(frozen=True)
class Selection:
    """``labelSelector`` or ``orLabelSelectors`` of a specification; neither takes all."""

    selectors: tuple[Object, ...] = ()

    @classmethod
    def of(cls, spec: Object) -> Self:
        if spec.get("orLabelSelectors"):
            return cls(tuple(spec["orLabelSelectors"]))
        return cls((spec["labelSelector"],) if spec.get("labelSelector") else ())

    def takes(self, labels: Mapping[str, str]) -> bool:
        return not self.selectors or any(selects(selector, labels) for selector in self.selectors)
