"""Label and field selectors, parsed once per request into a predicate over objects."""

import re
from collections.abc import Callable

from app.sandbox.kubeapi.failures import bad_request
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, at, mapping

Predicate = Callable[[Object], bool]
_LABEL = re.compile(
    r"""\s*(?:
        (?P<set>[^\s,!=()]+)\s+(?P<word>in|notin)\s*\((?P<values>[^()]*)\)
      | (?P<key>[^\s,!=()]+)\s*(?P<sign>==|=|!=)\s*(?P<value>[^\s,()=!]*)
      | (?P<absent>!?)\s*(?P<name>[^\s,!=()]+)
    )\s*(?:,|$)""",
    re.VERBOSE,
)
_FIELDS = {
    "pods": (
        "spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "spec.hostNetwork",
        "status.phase", "status.podIP", "status.nominatedNodeName",
    ),
    "namespaces": ("status.phase",),
    "secrets": ("type",),
    "services": ("spec.clusterIP", "spec.type"),
    "nodes": ("spec.unschedulable",),
    "jobs.batch": ("status.successful",),
    "replicasets.apps": ("status.replicas",),
    "events": (
        "involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
        "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
        "reportingComponent", "source", "type",
    ),
    "certificatesigningrequests.certificates.k8s.io": ("spec.signerName",),
}  # fmt: skip


def everything(_: Object) -> bool:
    return True


def label_selector(text: str) -> Predicate:
    """Equality and set based terms joined by commas; an unreadable selector is a BadRequest."""
    terms: list[Predicate] = []
    position = 0
    while position < len(text.rstrip()):
        match = _LABEL.match(text, position)
        if match is None:
            raise bad_request(f"unable to parse requirement: found '{text[position:]}' in label selector '{text}'")
        terms.append(_label_term(match))
        position = match.end()
    if not terms:
        return everything
    return lambda obj: all(term(mapping(mapping(obj, "metadata"), "labels")) for term in terms)


def _label_term(match: re.Match[str]) -> Predicate:
    found: dict[str, str] = match.groupdict(default="")
    if key := found["set"]:
        values = {value.strip() for value in found["values"].split(",")}
        if found["word"] == "in":
            return lambda labels: labels.get(key) in values
        return lambda labels: labels.get(key) not in values
    if key := found["key"]:
        value = found["value"]
        if found["sign"] == "!=":
            return lambda labels: labels.get(key) != value
        return lambda labels: labels.get(key) == value
    name = found["name"]
    if found["absent"]:
        return lambda labels: name not in labels
    return lambda labels: name in labels


def matches_selector_object(selector: Object, labels: Object) -> bool:
    """A ``metav1.LabelSelector`` written as an object, as webhooks use it."""
    if any(labels.get(key) != value for key, value in mapping(selector, "matchLabels").items()):
        return False
    return all(_expression_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _expression_holds(expression: Object, labels: Object) -> bool:
    key, values = str(expression.get("key")), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case _:
            return key not in labels


def field_selector(text: str, kind: Kind) -> Predicate:
    """Only the fields the real server knows for this kind; others are a BadRequest."""
    known = {"metadata.name", "metadata.namespace", *_FIELDS.get(kind.storage, ())}
    terms: list[tuple[str, bool, str]] = []
    for term in filter(None, (part.strip() for part in text.split(","))):
        path, sign, value = re.split(r"(==|!=|=)", term, maxsplit=1) if "=" in term else (term, "", "")
        if not sign:
            raise bad_request(f"invalid selector: '{text}'; can't understand '{term}'")
        if path not in known:
            raise bad_request(f'field label not supported: "{path}"')
        terms.append((path, sign != "!=", value))
    if not terms:
        return everything
    return lambda obj: all((_text(at(obj, path)) == value) is wanted for path, wanted, value in terms)


def _text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
