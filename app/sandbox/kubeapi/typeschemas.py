"""Schemas of the built-in kinds, read from the models of the Kubernetes client library.

That library is generated from Kubernetes' own OpenAPI document, so field names, types, texts and required fields are
those of its version. What it does not carry (merge keys) comes from the emulator's own patches.
"""

import re
from functools import cache
from importlib import import_module
from inspect import getsource
from typing import Any

from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object
from app.sandbox.kubeapi.patches import is_set, merge_keys

REFERENCE = "#/components/schemas/"
_PLAIN: dict[str, Object] = {
    "str": {"type": "string"},
    "int": {"type": "integer", "format": "int32"},
    "float": {"type": "number", "format": "double"},
    "bool": {"type": "boolean"},
    "datetime": {"type": "string", "format": "date-time"},
    "file": {"type": "string", "format": "byte"},
    "object": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
}
# Numbers or texts; the library calls them objects.
_EITHER = frozenset({"maxSurge", "maxUnavailable", "minAvailable", "port", "targetPort"})
_REQUIRED = re.compile(r"Invalid value for `(\w+)`, must not be `None`")
_ABOUT = re.compile(r"([A-Z][a-z]+)?(V\d+(?:alpha\d+|beta\d+)?)([A-Z]\w+)")


def schema_name(model: str) -> str:
    """``V1PodSpec`` is ``io.k8s.v1.PodSpec``: explain shows what follows the last dot."""
    found = _ABOUT.fullmatch(model)
    if found is None:
        return f"io.k8s.{model}"
    family, version, name = found.groups()
    return ".".join(["io.k8s", *([family.lower()] if family else []), version.lower(), name])


def model_of(kind: Kind) -> str:
    """The library's name for a built-in kind."""
    if kind.kind == "Event":
        return "EventsV1Event" if kind.group else "CoreV1Event"
    return f"{kind.version.capitalize()}{kind.kind}"


def schemas_below(models: list[str]) -> dict[str, Object]:
    """The schemas of these models and of everything they refer to, by name."""
    found: dict[str, Object] = {}
    waiting = list(models)
    while waiting:
        model = waiting.pop()
        if schema_name(model) not in found:
            found[schema_name(model)], more = schema_of(model)
            waiting += more
    return found


@cache
def schema_of(model: str) -> tuple[Object, tuple[str, ...]]:
    """One model's schema, and the models it refers to."""
    described = getattr(import_module("kubernetes_asyncio.client.models"), model)
    references: list[str] = []
    properties = {}
    for attribute, written in described.openapi_types.items():
        field = described.attribute_map[attribute]
        properties[field] = _about(described, attribute) | _field(field, written, references)
    schema: Object = {"type": "object", "properties": properties}
    required = sorted({described.attribute_map[name] for name in _REQUIRED.findall(getsource(described))})
    if required:
        schema["required"] = required
    return schema, tuple(references)


def _about(model: type, attribute: str) -> Object:
    """Kubernetes' text about a field: the second paragraph of its getter's, where it has one."""
    text = str(getattr(model, attribute).__doc__).split("\n\n")[1].replace("# noqa: E501", "")
    return {} if text.strip().startswith(":return") else {"description": " ".join(text.split())}


def _field(field: str, written: str, references: list[str]) -> Object:
    if written == "object" and field in _EITHER:
        return {"type": "string", "format": "int-or-string", "x-kubernetes-int-or-string": True}
    schema = _type(written, references)
    if schema.get("type") == "array":
        schema |= _merging(field, written)
    return schema


def _type(written: str, references: list[str]) -> Object:
    if written.startswith("list["):
        return {"type": "array", "items": _type(written[5:-1], references)}
    if written.startswith("dict("):
        return {"type": "object", "additionalProperties": _type(written[5:-1].partition(", ")[2], references)}
    if written in _PLAIN:
        return dict(_PLAIN[written])
    references.append(written)
    return {"allOf": [{"$ref": REFERENCE + schema_name(written)}], "default": {}}


def _merging(field: str, written: str) -> dict[str, Any]:
    """How a client is to compute its patch of this list: as this server will apply it."""
    path = ("containers", field) if "V1Container" in written else (field,)
    keys = merge_keys(path)
    if keys and "[V" in written:
        return {"x-kubernetes-patch-strategy": "merge", "x-kubernetes-patch-merge-key": keys[0]}
    return {"x-kubernetes-patch-strategy": "merge"} if is_set(path) else {}
