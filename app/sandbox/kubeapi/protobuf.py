"""Objects in protobuf, which is how kubectl's subcommands send them; answers are always JSON.

An envelope names the kind and holds one message. Field numbers are in ``wirenumbers``, types in the client library's
models. A zero that was left out and one that was sent cannot be told apart here, so empty texts and times are dropped.
"""

import base64
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from typing import Any

from app.sandbox.kubeapi.objects import Object
from app.sandbox.kubeapi.typeschemas import schema_name
from app.sandbox.kubeapi.wirenumbers import TABLE

MEDIA = "application/vnd.kubernetes.protobuf"
_MAGIC = b"k8s\x00"
_QUANTITIES = frozenset({
    "allocatedResources", "capacity", "divisor", "hard", "limits", "overhead", "requests", "sizeLimit", "used",
})  # fmt: skip
_Wire = int | bytes


class Unreadable(ValueError):
    """Not what the media type promises, or of a kind that is not in the table."""


def decode(body: bytes) -> Object:
    """The object in an envelope. Raises Unreadable."""
    try:
        if not body.startswith(_MAGIC):
            raise Unreadable("no envelope")
        envelope = dict(_fields(body[len(_MAGIC) :]))
        about = {number: _text(value) for number, value in _fields(_bytes(envelope.get(1, b"")))}
        found = _message(f"V1{about.get(2, '')}", _bytes(envelope.get(2, b"")))
        return {"apiVersion": about.get(1, ""), "kind": about.get(2, ""), **found}
    except (IndexError, UnicodeDecodeError, OverflowError) as error:
        raise Unreadable(f"broken message: {error}") from error


@cache
def _numbers() -> dict[str, dict[int, str]]:
    """Fields by number; those that lie in an inner message are written ``Name<``."""
    found: dict[str, dict[int, str]] = {}
    for row in TABLE.replace("\n    ", " ").strip().splitlines():
        name, _, fields = row.partition(": ")
        found[name] = {}
        for field in fields.split():
            inner = "<" in field
            label, _, number = field.partition("<" if inner else "=")
            found[name][int(number)] = label + "<" * inner
    return found


@cache
def _types(model: str) -> dict[str, str]:
    """Types of a model's fields by their names in JSON."""
    found = getattr(import_module("kubernetes_asyncio.client.models"), model)
    types = found.openapi_types.items()
    return {
        field: _on_the_wire(model, field, written) for name, written in types if (field := found.attribute_map[name])
    }


def _on_the_wire(model: str, field: str, written: str) -> str:
    """The library takes some types for texts or objects that are others in protobuf."""
    if field == "fieldsV1":
        return "FieldsV1"
    if field in _QUANTITIES and "str" in written:
        return "dict(str, Quantity)" if "dict" in written else "Quantity"
    if (model, field) in {("V1Secret", "data"), ("V1ConfigMap", "binaryData")}:
        return "dict(str, bytes)"
    return written


def _message(model: str, data: bytes, within: str = "") -> Object:
    """``within``: the message whose numbers hold, when it is not the model's own."""
    numbers = _numbers().get(within or schema_name(model).rpartition(".")[2])
    if numbers is None:
        raise Unreadable(f"{model} cannot be read in protobuf")
    types = _types(model)
    found: Object = {}
    for number, value in _fields(data):
        field = numbers.get(number, "")
        if field.endswith("<"):
            found |= _message(model, _bytes(value), within=field[:-1])
        elif field in types:
            _put(found, field, types[field], value)
    return found


def _put(found: Object, field: str, written: str, value: _Wire) -> None:
    if written.startswith("list["):
        found.setdefault(field, []).append(_value(written[5:-1], value))
    elif written.startswith("dict("):
        entry = dict(_fields(_bytes(value)))
        key = _text(entry.get(1, b""))
        found.setdefault(field, {})[key] = _entry(written[5:-1].partition(", ")[2], entry.get(2, b""))
    elif (plain := _value(written, value)) not in ("", None):
        found[field] = plain


def _entry(written: str, value: _Wire) -> Any:
    if written.startswith("list["):
        return [_text(item) for _, item in _fields(_bytes(value))]
    return _value(written, value)


def _value(written: str, value: _Wire) -> Any:
    if written == "bool":
        return bool(value)
    if isinstance(value, int):
        if written != "int":
            raise Unreadable(f"a number where {written} belongs")
        return value - (1 << 64) if value >> 63 else value
    read = _READERS.get(written)
    return read(value) if read else _message(written, value)


def _time(value: bytes) -> str | None:
    seconds = dict(_fields(value)).get(1)
    if not isinstance(seconds, int):
        return None
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _int_or_string(value: bytes) -> int | str | None:
    """None for a zero: it is sent even where nothing was set."""
    parts = dict(_fields(value))
    if parts.get(1) == 1:
        return _text(parts.get(3, b""))
    number = parts.get(2)
    return number if isinstance(number, int) and number else None


def _first(value: bytes) -> bytes:
    """The only field of a message that wraps a text."""
    return _bytes(dict(_fields(value)).get(1, b""))


def _text(value: _Wire) -> str:
    return _bytes(value).decode()


def _bytes(value: _Wire) -> bytes:
    if isinstance(value, int):
        raise Unreadable("a number where bytes belong")
    return value


_READERS: dict[str, Callable[[bytes], Any]] = {
    "str": bytes.decode,
    "bytes": lambda value: base64.b64encode(value).decode(),
    "datetime": _time,
    "object": _int_or_string,
    "Quantity": lambda value: _first(value).decode(),
    "FieldsV1": lambda value: json.loads(_first(value) or b"{}"),
}


def _fields(data: bytes) -> Iterator[tuple[int, _Wire]]:
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        kind = key & 7
        if kind == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
        elif kind == 2:
            length, place = _varint(data, place)
            if place + length > len(data):
                raise Unreadable("a message that ends too early")
            yield key >> 3, data[place : place + length]
            place += length
        else:
            raise Unreadable(f"wire type {kind}")


def _varint(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
        if shift > 63:
            raise Unreadable("a number of more than 64 bits")
