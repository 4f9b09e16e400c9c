"""Label selectors: read from a request, said to Kubernetes, and applied here exactly as Kubernetes applies them."""

import re
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from app.velero.errors import InvalidScope


class Requirement(NamedTuple):
    """One term of a selector. As in Kubernetes, ``NotIn`` also holds where the label is absent."""

    key: str
    operator: Literal["In", "NotIn", "Exists", "DoesNotExist"]
    values: tuple[str, ...] = ()

    def holds(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels fulfils the term."""
        match self.operator:
            case "In":
                return labels.get(self.key) in self.values
            case "NotIn":
                return labels.get(self.key) not in self.values
            case "Exists":
                return self.key in labels
            case "DoesNotExist":
                return self.key not in labels


#: All terms must hold; none at all selects everything.
Selector = tuple[Requirement, ...]

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?"
_KEY = rf"(?P<key>(?:[a-z0-9](?:[a-z0-9.-]{{0,251}}[a-z0-9])?/)?{_NAME})"
_VALUE = rf"(?:{_NAME})?"
_TERM_SEPARATOR = re.compile(r",(?![^()]*\))")
_EQUALITY = re.compile(rf"^{_KEY}\s*(?P<operator>==|=|!=)\s*(?P<value>{_VALUE})$")
_SET = re.compile(rf"^{_KEY}\s+(?P<operator>in|notin)\s+\((?P<values>[^()]*)\)$")
_PRESENCE = re.compile(rf"^(?P<operator>!?)\s*{_KEY}$")


def parse_selector(text: str) -> Selector:
    """``app=web,tier!=db,zone in (a, b),!legacy`` as terms; raises ``InvalidScope`` for anything else."""
    return tuple(_parse_term(term.strip()) for term in _TERM_SEPARATOR.split(text)) if text.strip() else ()


def _parse_term(term: str) -> Requirement:
    if found := _EQUALITY.match(term):
        return Requirement(found["key"], "NotIn" if found["operator"] == "!=" else "In", (found["value"],))
    if found := _SET.match(term):
        values = tuple(value.strip() for value in found["values"].split(","))
        if all(re.fullmatch(_VALUE, value) for value in values):
            return Requirement(found["key"], "In" if found["operator"] == "in" else "NotIn", values)
    if found := _PRESENCE.match(term):
        return Requirement(found["key"], "DoesNotExist" if found["operator"] else "Exists")
    raise InvalidScope(
        f"{term[:80]!r} is not a term of a label selector",
        remedy="Write terms as key=value, key!=value, key in (a,b), key or !key, separated by commas.",
        field="selector",
    )


def selects(selector: Selector, labels: Mapping[str, str]) -> bool:
    """Whether every term holds."""
    return all(requirement.holds(labels) for requirement in selector)


def label_selector(selector: Selector) -> dict[str, Any]:
    """The selector as a ``metav1.LabelSelector``."""
    return {
        "matchExpressions": [
            {"key": term.key, "operator": term.operator} | ({"values": list(term.values)} if term.values else {})
            for term in selector
        ]
    }


def read_label_selector(document: Mapping[str, Any]) -> Selector:
    """A ``metav1.LabelSelector`` as terms."""
    equal = [Requirement(key, "In", (value,)) for key, value in (document.get("matchLabels") or {}).items()]
    terms = document.get("matchExpressions") or ()
    return (*equal, *(Requirement(term["key"], term["operator"], tuple(term.get("values") or ())) for term in terms))
