"""OpenAPI v3: one document per group version, as far as explain, apply and strict validation read it."""

import asyncio
import hashlib
from collections.abc import Iterator
from typing import Any

from app.sandbox.kubeapi.failures import bad_request
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, encode, entries, mapping
from app.sandbox.kubeapi.registry import Registry
from app.sandbox.kubeapi.typeschemas import REFERENCE, model_of, schema_name, schemas_below

_OBJECT_META = "V1ObjectMeta"
_JSON = ("application/json", "application/yaml")
_PATCHES = ("application/apply-patch+yaml", "application/json-patch+json", "application/merge-patch+json")
_STRATEGIC = "application/strategic-merge-patch+json"
_COMMON: Object = {
    "apiVersion": {"type": "string", "description": "Group and version of this representation of the object."},
    "kind": {"type": "string", "description": "What REST resource this object represents."},
    "metadata": {"allOf": [{"$ref": REFERENCE + schema_name(_OBJECT_META)}], "default": {}},
}


class OpenApi:
    """The documents; those of built-in kinds are made once, when first asked for."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._built_in: dict[str, Object] = {}

    def _index(self) -> Object:
        """Where each group version's document lies; the address changes with what it describes."""
        paths = {}
        for path, kinds in self._by_path().items():
            mark = hashlib.sha256(encode([[kind.plural, kind.schema] for kind in kinds]).encode()).hexdigest()[:32]
            paths[path] = {"serverRelativeURL": f"/openapi/v3/{path}?hash={mark.upper()}"}
        return {"paths": paths}

    async def document(self, path: str) -> Object | None:
        """The document of ``apis/apps/v1``, without a path the index; None when nothing is served there."""
        if not path:
            return self._index()
        kinds = self._by_path().get(path)
        if kinds is None:
            return None
        if any(kind.custom for kind in kinds):
            return await asyncio.to_thread(_document, kinds)
        if path not in self._built_in:
            # The models' library takes half a second to load: aside, so that nobody waits.
            self._built_in[path] = await asyncio.to_thread(_document, kinds)
        return self._built_in[path]

    async def check_fields(self, kind: Kind, body: Object) -> None:
        """Raises the 400 of ``fieldValidation=Strict`` that names every field the kind does not have."""
        document = await self.document(path_of(kind))
        if document is None:
            return
        schemas = document["components"]["schemas"]
        unknown = sorted(_unknown(body, schemas[_name(kind)], schemas, ""))
        if unknown:
            listed = ", ".join(f'unknown field "{field}"' for field in unknown)
            what = f'{kind.kind} in version "{kind.version}" cannot be handled as a {kind.kind}: '
            raise bad_request(("" if kind.custom else what) + f"strict decoding error: {listed}")

    def _by_path(self) -> dict[str, list[Kind]]:
        found: dict[str, list[Kind]] = {}
        for kind in self._registry.kinds():
            found.setdefault(path_of(kind), []).append(kind)
        return found


def path_of(kind: Kind) -> str:
    """``api/v1`` or ``apis/apps/v1``."""
    return f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"


def _name(kind: Kind) -> str:
    if kind.custom:
        return ".".join([*reversed(kind.group.split(".")), kind.version, kind.kind])
    return schema_name(model_of(kind))


def _document(kinds: list[Kind]) -> Object:
    built_in = [model_of(kind) for kind in kinds if not kind.custom]
    schemas = {name: dict(schema) for name, schema in schemas_below([*built_in, _OBJECT_META]).items()}
    paths: Object = {}
    for kind in kinds:
        if kind.custom:
            schemas[_name(kind)] = _custom(kind)
        schemas[_name(kind)]["x-kubernetes-group-version-kind"] = [_identity(kind)]
        paths |= _paths(kind)
    info = {"title": "Kubernetes", "version": "v1.34.4"}
    return {"openapi": "3.0.0", "info": info, "paths": paths, "components": {"schemas": schemas}}


def _custom(kind: Kind) -> Object:
    """The definition's own schema, with the fields every object has."""
    schema = dict(kind.schema or {"type": "object", "x-kubernetes-preserve-unknown-fields": True})
    return schema | {"properties": {**mapping(schema, "properties"), **_COMMON}}


def _identity(kind: Kind) -> Object:
    return {"group": kind.group, "version": kind.version, "kind": kind.kind}


def _paths(kind: Kind) -> Object:
    base = f"/{path_of(kind)}/" + ("namespaces/{namespace}/" if kind.namespaced else "") + kind.plural
    if kind.review:
        return {base: {"post": _operation(kind, "post", _JSON)}}
    patches = _PATCHES if kind.custom else (*_PATCHES, _STRATEGIC)
    return {
        base: {"get": _operation(kind, "list", ()), "post": _operation(kind, "post", _JSON)},
        base + "/{name}": {
            "get": _operation(kind, "get", ()),
            "put": _operation(kind, "put", _JSON),
            "patch": _operation(kind, "patch", patches),
            "delete": _operation(kind, "delete", ()),
        },
    }


def _operation(kind: Kind, action: str, media: tuple[str, ...]) -> Object:
    reference = {"schema": {"$ref": REFERENCE + _name(kind)}}
    operation: Object = {
        "responses": {"200": {"description": "OK", "content": {"application/json": reference}}},
        "x-kubernetes-action": action,
        "x-kubernetes-group-version-kind": _identity(kind),
    }
    if media:
        operation["requestBody"] = {"content": dict.fromkeys(media, reference)}
        names = ("dryRun", "fieldManager", "fieldValidation")
        operation["parameters"] = [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]
    return operation


def _unknown(value: Any, schema: Object, schemas: Object, path: str) -> Iterator[str]:
    for part in entries(schema, "allOf"):
        reference = part.get("$ref") if isinstance(part, dict) else None
        schema = schemas.get(str(reference).removeprefix(REFERENCE), schema)
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _unknown(item, mapping(schema, "items"), schemas, f"{path}[{number}]")
    if not isinstance(value, dict):
        return
    known, others = mapping(schema, "properties"), schema.get("additionalProperties")
    closed = bool(known) and others is None and not schema.get("x-kubernetes-preserve-unknown-fields")
    for field, inner in value.items():
        place = f"{path}.{field}" if path else field
        if field in known:
            yield from _unknown(inner, mapping(known, field), schemas, place)
        elif isinstance(others, dict):
            yield from _unknown(inner, others, schemas, place)
        elif closed:
            yield place
