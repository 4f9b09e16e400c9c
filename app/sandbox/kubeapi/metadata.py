"""What makes an object's metadata unreadable or invalid, whatever its kind."""

import re
from datetime import datetime
from typing import Any

from app.sandbox.kubeapi.failures import Flaw, bad_request
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, entries, mapping

_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_QUALIFIED = re.compile(
    r"([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?"
    r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?"
)
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_SUBDOMAIN_RULE = (
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', "
    "and must start and end with an alphanumeric character"
)
_LABEL_RULE = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', "
    "and must start and end with an alphanumeric character"
)
_LABEL_VALUE_RULE = (
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', "
    "must start and end with an alphanumeric character and have at most 63 of them"
)
_QUALIFIED_RULE = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', "
    "and must start and end with an alphanumeric character"
)
_NAME_RULES = {
    "namespaces": (_LABEL, 63, _LABEL_RULE),
    "services": (re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?"), 63, f"{_LABEL_RULE}; a Service's begins with a letter"),
}
_FREE_NAMES = ".rbac.authorization.k8s.io"
_STANDARD_FINALIZERS = frozenset({"orphan", "foregroundDeletion", "kubernetes"})
_MOST_ANNOTATION_BYTES = 256 * 1024
_NAMES: dict[type, str] = {str: "strings", dict: "objects"}
_TIMES = ("creationTimestamp", "deletionTimestamp")


def is_qualified(name: Any) -> bool:
    """Whether it is a name such as ``example.com/thing`` or ``thing``."""
    return isinstance(name, str) and _QUALIFIED.fullmatch(name) is not None


def is_label(name: Any) -> bool:
    """Whether it can be a part of a DNS name."""
    return isinstance(name, str) and len(name) <= 63 and _LABEL.fullmatch(name) is not None


def check_metadata_shape(metadata: Object) -> None:
    """Raises the BadRequest of the decoder; null is as good as absent."""
    for field in ("labels", "annotations"):
        value = metadata.get(field)
        if value is None:
            metadata.pop(field, None)
        elif not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
            raise bad_request(f"metadata.{field}: expected a map of strings")
    for field, wanted in (("finalizers", str), ("ownerReferences", dict), ("managedFields", dict)):
        value = metadata.get(field) or []
        if not isinstance(value, list) or not all(isinstance(one, wanted) for one in value):
            raise bad_request(f"metadata.{field}: expected a list of {_NAMES[wanted]}")
    if not isinstance(metadata.get("name") or "", str):
        raise bad_request("metadata.name: expected a string")
    for field in _TIMES:
        if metadata.get(field) is not None and not _is_time(metadata[field]):
            raise bad_request(f'parsing time "{metadata[field]}": metadata.{field} is not a time')


def _is_time(value: Any) -> bool:
    try:
        return datetime.fromisoformat(value).tzinfo is not None
    except (TypeError, ValueError):
        return False


def metadata_flaws(kind: Kind, metadata: Object) -> list[Flaw]:
    """Everything that is readable and still not allowed."""
    return [
        *_name(kind, metadata),
        *_labels(mapping(metadata, "labels")),
        *_annotations(mapping(metadata, "annotations")),
        *_finalizers(entries(metadata, "finalizers")),
        *_owners(entries(metadata, "ownerReferences")),
    ]


def _name(kind: Kind, metadata: Object) -> list[Flaw]:
    name = metadata.get("name")
    if not name:
        return [Flaw.required("metadata.name", "name or generateName is required")]
    if kind.storage.endswith(_FREE_NAMES):
        bad = name in {".", ".."} or "/" in name or "%" in name
        return [Flaw.invalid("metadata.name", name, "may not contain '/' or '%'")] if bad else []
    pattern, longest, rule = _NAME_RULES.get(kind.storage, (_SUBDOMAIN, 253, _SUBDOMAIN_RULE))
    if len(name) > longest:
        return [Flaw.invalid("metadata.name", name, f"must be no more than {longest} characters")]
    return [] if pattern.fullmatch(name) else [Flaw.invalid("metadata.name", name, rule)]


def _labels(labels: Object) -> list[Flaw]:
    flaws = [Flaw.invalid("metadata.labels", key, _QUALIFIED_RULE) for key in labels if not is_qualified(key)]
    bad = (value for value in labels.values() if not _LABEL_VALUE.fullmatch(value))
    return flaws + [Flaw.invalid("metadata.labels", value, _LABEL_VALUE_RULE) for value in bad]


def _annotations(annotations: Object) -> list[Flaw]:
    flaws = [
        Flaw.invalid("metadata.annotations", key, _QUALIFIED_RULE)
        for key in annotations
        if not is_qualified(key.lower())
    ]
    if sum(len(key.encode()) + len(value.encode()) for key, value in annotations.items()) > _MOST_ANNOTATION_BYTES:
        flaws.append(Flaw.too_long("metadata.annotations", _MOST_ANNOTATION_BYTES))
    return flaws


def _finalizers(finalizers: list[str]) -> list[Flaw]:
    flaws = [Flaw.invalid("metadata.finalizers", one, _QUALIFIED_RULE) for one in finalizers if not is_qualified(one)]
    why = "name is neither a standard finalizer name nor is it fully qualified"
    return flaws + [
        Flaw.invalid(f"metadata.finalizers[{number}]", one, why)
        for number, one in enumerate(finalizers)
        if "/" not in one and one not in _STANDARD_FINALIZERS
    ]


def _owners(references: list[Object]) -> list[Flaw]:
    return [
        Flaw.invalid(f"metadata.ownerReferences.{field}", "", "must not be empty")
        for reference in references
        for field in ("apiVersion", "kind", "name", "uid")
        if not reference.get(field)
    ]
