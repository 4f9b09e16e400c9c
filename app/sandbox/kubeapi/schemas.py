"""Structural schemas of custom types: unknown fields are dropped, defaults filled in, the rest is checked.

Of OpenAPI what Velero's and KECS's types use; rules in CEL, formats and conversions are not evaluated.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from app.sandbox.kubeapi.failures import Flaw
from app.sandbox.kubeapi.objects import Object, copy_of, entries, mapping

_PRESERVE = "x-kubernetes-preserve-unknown-fields"
_INT_OR_STRING = "x-kubernetes-int-or-string"
_ROOT = ("apiVersion", "kind", "metadata")
_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: (
        not isinstance(value, bool) and (isinstance(value, int) or (isinstance(value, float) and value.is_integer()))
    ),
    "number": lambda value: isinstance(value, int | float) and not isinstance(value, bool),
}


def conform(schema: Object, obj: Object) -> None:
    """Drops what the schema does not know and fills in its defaults, in place; the root's metadata is not its own."""
    root = {field: obj[field] for field in _ROOT if field in obj}
    _prune(schema, obj)
    _fill_in(schema, obj)
    obj |= root


def _prune(schema: Object, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _prune(mapping(schema, "items"), item)
    elif isinstance(value, dict):
        for field in list(value):
            inner = _field(schema, field)
            if inner is not None:
                _prune(inner, value[field])
            elif not schema.get(_PRESERVE):
                del value[field]


def _field(schema: Object, field: str) -> Object | None:
    """The schema of one field; None when the field is unknown."""
    known = mapping(schema, "properties").get(field)
    if isinstance(known, dict):
        return known
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        return others
    return {_PRESERVE: True} if others is True else None


def _fill_in(schema: Object, value: Any) -> None:
    if isinstance(value, list):
        for item in value:
            _fill_in(mapping(schema, "items"), item)
    elif isinstance(value, dict):
        for field, inner in mapping(schema, "properties").items():
            absent = field not in value or (value[field] is None and not inner.get("nullable"))
            if absent and "default" in inner:
                value[field] = copy_of(inner["default"])
        for field, inner_value in value.items():
            _fill_in(_field(schema, field) or {}, inner_value)


def schema_flaws(schema: Object, obj: Object) -> list[Flaw]:
    """Everything in which the object breaks the schema; what the server writes itself is not looked at."""
    return list(_flaws(schema, {field: value for field, value in obj.items() if field not in _ROOT}, ""))


def _flaws(schema: Object, value: Any, path: str) -> Iterator[Flaw]:
    if value is None and schema.get("nullable"):
        return
    wanted = schema.get("type")
    if schema.get(_INT_OR_STRING):
        fits = _TYPES["integer"](value) or isinstance(value, str)
    else:
        fits = wanted not in _TYPES or _TYPES[wanted](value)
    if not fits:
        why = f'must be of type {wanted or "integer or string"}: "{_type_name(value)}"'
        yield Flaw(_invalid(path, _type_name(value), why))
        return
    yield from _limits(schema, value, path)
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _flaws(mapping(schema, "items"), item, f"{path}[{number}]")
    elif isinstance(value, dict):
        yield from (Flaw.required(_join(path, one)) for one in entries(schema, "required") if one not in value)
        for field, inner in value.items():
            yield from _flaws(_field(schema, field) or {}, inner, _join(path, field))


def _limits(schema: Object, value: Any, path: str) -> Iterator[Flaw]:
    if "enum" in schema and value not in schema["enum"]:
        yield Flaw.unsupported(path, value, map(str, schema["enum"]))
    if isinstance(value, str):
        if "pattern" in schema and not re.search(schema["pattern"], value):
            yield Flaw.invalid(path, value, f"should match '{schema['pattern']}'")
        yield from _bounds(schema, len(value), path, ("minLength", "maxLength"))
    elif isinstance(value, list):
        yield from _bounds(schema, len(value), path, ("minItems", "maxItems"))
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield from _bounds(schema, value, path, ("minimum", "maximum"))


def _bounds(schema: Object, size: float, path: str, names: tuple[str, str]) -> Iterator[Flaw]:
    least, most = (schema.get(name) for name in names)
    if least is not None and size < least:
        yield Flaw.invalid(path, size, f"should be greater than or equal to {least}")
    if most is not None and size > most:
        yield Flaw.invalid(path, size, f"should be less than or equal to {most}")


def _invalid(path: str, shown: str, why: str) -> tuple[str, str, str]:
    return path, "FieldValueTypeInvalid", f'Invalid value: "{shown}": in body {why}'


def _type_name(value: Any) -> str:
    if value is None:
        return "null"
    return next((name for name, fits in _TYPES.items() if fits(value)), "object")


def _join(path: str, field: str) -> str:
    return f"{path}.{field}" if path else field
