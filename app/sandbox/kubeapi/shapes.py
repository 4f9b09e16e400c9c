"""The types of fields, as far as the rest of the server relies on them: what the real one's decoder refuses first.

Knows fields by name, wherever they stand in an object of the kinds named here (a name can mean something else in
another kind); maps whose keys are the user's own are not looked into.
"""

from typing import Any

from app.sandbox.kubeapi.failures import bad_request
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object

_STORAGES = frozenset({
    "pods", "podtemplates", "replicationcontrollers", "services", "cronjobs.batch", "daemonsets.apps",
    "deployments.apps", "jobs.batch", "replicasets.apps", "statefulsets.apps",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io",
    "validatingwebhookconfigurations.admissionregistration.k8s.io",
})  # fmt: skip
_LISTS = frozenset({
    "args", "clusterIPs", "command", "containers", "env", "envFrom", "hostAliases", "imagePullSecrets",
    "initContainers", "ipFamilies", "matchExpressions", "ports", "rules", "tolerations", "volumeMounts", "volumes",
    "webhooks",
})  # fmt: skip
_OBJECTS = frozenset({
    "annotations", "clientConfig", "jobTemplate", "labels", "matchLabels", "namespaceSelector", "objectSelector",
    "securityContext", "selector", "template", "updateStrategy",
})  # fmt: skip
_NUMBERS = frozenset({
    "activeDeadlineSeconds", "backoffLimit", "completions", "containerPort", "minReadySeconds", "nodePort",
    "parallelism", "priority", "progressDeadlineSeconds", "replicas", "revisionHistoryLimit",
    "terminationGracePeriodSeconds", "timeoutSeconds",
})  # fmt: skip
_TEXTS = frozenset({
    "clusterIP", "dnsPolicy", "failurePolicy", "imagePullPolicy", "name", "nodeName", "protocol", "restartPolicy",
    "serviceAccountName", "serviceName", "type",
})  # fmt: skip
_FREE = frozenset({
    "annotations", "labels", "limits", "matchLabels", "nodeSelector", "overhead", "requests", "selector",
    "volumeAttributes",
})  # fmt: skip
_WANTED: dict[str, tuple[type, str]] = {
    **dict.fromkeys(_LISTS, (list, "a list")),
    **dict.fromkeys(_OBJECTS, (dict, "an object")),
    **dict.fromkeys(_NUMBERS, (int, "a number")),
    **dict.fromkeys(_TEXTS, (str, "a string")),
}
# Lists of plain values; every other list above holds objects.
_PLAIN = frozenset({"args", "clusterIPs", "command", "ipFamilies"})

_ALWAYS = frozenset({"apiVersion", "kind", "metadata"})
# The fields beside metadata of kinds that have no others.
_FIELDS: dict[str, frozenset[str]] = {
    "configmaps": frozenset({"data", "binaryData", "immutable"}),
    "secrets": frozenset({"data", "stringData", "type", "immutable"}),
    **dict.fromkeys(
        ("pods", "services", "namespaces", "deployments.apps", "statefulsets.apps", "daemonsets.apps", "jobs.batch"),
        frozenset({"spec", "status"}),
    ),
}


def drop_unknown(kind: Kind, obj: Object, *, strict: bool) -> None:
    """Forgets fields that the kind does not have, in place; with ``strict`` they are a BadRequest instead."""
    known = _FIELDS.get(kind.storage)
    for field in [] if known is None else [one for one in obj if one not in known | _ALWAYS]:
        if strict:
            subject = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}'
            raise bad_request(f'{subject}: strict decoding error: unknown field "{field}"')
        del obj[field]


def check_shape(kind: Kind, obj: Object) -> None:
    """Raises the BadRequest that names the first field of another type than the kind's; null is as good as absent."""
    if kind.storage in _STORAGES:
        _check(kind, {field: obj.get(field) for field in ("spec", "template", "webhooks")}, "")


def _check(kind: Kind, value: Object, path: str) -> None:
    for field, inner in value.items():
        place = f"{path}.{field}"
        if inner is None:
            continue
        wanted = _WANTED.get(field)
        if wanted is not None and (not isinstance(inner, wanted[0]) or isinstance(inner, bool)):
            raise _unreadable(kind, place, wanted[1])
        if isinstance(inner, dict) and field not in _FREE:
            _check(kind, inner, place)
        elif isinstance(inner, list):
            _check_items(kind, field, inner, place)


def _check_items(kind: Kind, field: str, items: list[Any], place: str) -> None:
    for number, item in enumerate(items):
        if isinstance(item, dict):
            _check(kind, item, f"{place}[{number}]")
        elif field in _LISTS - _PLAIN:
            raise _unreadable(kind, f"{place}[{number}]", "an object")


def _unreadable(kind: Kind, place: str, wanted: str) -> Exception:
    return bad_request(
        f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: {place}: expected {wanted}'
    )
