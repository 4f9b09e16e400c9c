"""Objects as rows of a ``meta.k8s.io/v1`` Table, which is how kubectl asks for what it prints."""

from collections.abc import Iterable
from typing import Any

from app.sandbox.kubeapi.columns import COLUMNS, PLAIN, Column
from app.sandbox.kubeapi.durations import age
from app.sandbox.kubeapi.jsonpaths import first_at
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, encode
from app.sandbox.kubeapi.store import Record

_NAME = {"name": "Name", "type": "string", "format": "name", "priority": 0}
_NAME |= {"description": "Name must be unique within a namespace."}


def table_text(kind: Kind, records: Iterable[Record], metadata: Object, include: str = "") -> str:
    """``include``: what of each object stands beside its row, ``Metadata`` (also if empty), ``Object`` or ``None``."""
    columns = _columns_of(kind)
    rows = [{"cells": _cells(columns, record), **_beside(kind, record, include)} for record in records]
    definitions = [_NAME, *(column.definition() for column in columns if column.name != "Name")]
    if kind.storage == "events":
        definitions = [column.definition() for column in columns]
    head = {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": metadata}
    return encode({**head, "columnDefinitions": definitions, "rows": rows})


def _columns_of(kind: Kind) -> tuple[Column, ...]:
    if not kind.columns:
        return COLUMNS.get(kind.storage, PLAIN)
    return (PLAIN[0], *(_defined(one) for one in kind.columns))


def _defined(one: Object) -> Column:
    path, priority = str(one.get("jsonPath", "")), one.get("priority")
    return Column(
        str(one.get("name", "")),
        lambda obj: first_at(obj, path),
        type=str(one.get("type", "string")),
        priority=priority if isinstance(priority, int) else 0,
    )


def _cells(columns: tuple[Column, ...], record: Record) -> list[Any]:
    return [_cell(column, _value(column, record.obj)) for column in columns]


def _value(column: Column, obj: Object) -> Any:
    """Nothing is there where an object is not shaped as its kind."""
    try:
        return column.value(obj)
    except (AttributeError, KeyError, TypeError, ValueError):
        return None


def _cell(column: Column, value: Any) -> Any:
    if column.type == "date":
        return age(value)
    if value is None and column.absent is not None:
        return column.absent
    if column.type == "string" and value is not None and not isinstance(value, str):
        return encode(value)
    return value


def _beside(kind: Kind, record: Record, include: str) -> Object:
    if include == "None":
        return {}
    if include == "Object":
        return {"object": {**record.obj, "kind": kind.kind, "apiVersion": kind.api_version}}
    head = {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1"}
    return {"object": {**head, "metadata": record.metadata}}
