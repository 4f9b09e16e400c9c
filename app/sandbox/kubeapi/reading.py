"""Lists by pages, and the forms in which an object can be asked for."""

import base64
import binascii
import json
from typing import Literal, NamedTuple

from app.sandbox.kubeapi import event_forms
from app.sandbox.kubeapi.failures import bad_request, expired
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import encode
from app.sandbox.kubeapi.registry import list_kind
from app.sandbox.kubeapi.selectors import Predicate
from app.sandbox.kubeapi.store import Record, Store
from app.sandbox.kubeapi.tables import table_text

_PARTIAL_HEAD = '{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":'


class Form(NamedTuple):
    """Whole objects, their metadata alone, or rows of a table with what stands beside each row."""

    sort: Literal["object", "partial", "table"] = "object"
    include: str = ""


WHOLE = Form()


class Selection(NamedTuple):
    """Which objects of a kind; ``namespace`` None means all."""

    namespace: str | None
    labels: Predicate
    fields: Predicate

    def holds(self, record: Record) -> bool:
        if self.namespace is not None and record.key.namespace != self.namespace:
            return False
        return self.labels(record.obj) and self.fields(record.obj)


def written(kind: Kind, record: Record, form: Form = WHOLE) -> str:
    """The object in the version of ``kind`` and in the form asked for."""
    if form.sort == "table":
        return table_text(kind, [record], {"resourceVersion": record.metadata["resourceVersion"]}, form.include)
    if form.sort == "partial":
        return _PARTIAL_HEAD + encode(record.metadata) + "}"
    return kind.head + _body(kind, record)


def _body(kind: Kind, record: Record) -> str:
    if kind.resource == "events.events.k8s.io":
        return encode(event_forms.from_core(record.obj))[1:]
    return record.body


def list_text(store: Store, kind: Kind, selection: Selection, *, limit: int, token: str, form: Form) -> str:
    """One page in JSON. Items of built-in kinds carry no kind and apiVersion, as ever in Kubernetes."""
    version, after = _read_token(store, token) if token else (store.version, ("", ""))
    if version == store.version:
        then = store.records(kind.storage, selection.namespace, after)
    else:
        past = store.records_at(version, kind.storage, selection.namespace)
        then = [record for record in past if (record.key.namespace, record.key.name) > after]
    records = [record for record in then if selection.holds(record)]
    metadata: dict[str, object] = {"resourceVersion": str(version)}
    if limit and len(records) > limit:
        last = records[limit - 1].key
        metadata["continue"] = _token(version, last.namespace, last.name)
        metadata["remainingItemCount"] = len(records) - limit
        records = records[:limit]
    if form.sort == "table":
        return table_text(kind, records, metadata, form.include)
    if form.sort == "partial":
        head = {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1"}
        items = ",".join(written(kind, record, form) for record in records)
    else:
        head = {"kind": list_kind(kind), "apiVersion": kind.api_version}
        opening = kind.head if kind.custom else "{"
        items = ",".join(opening + _body(kind, record) for record in records)
    return f'{encode({**head, "metadata": metadata})[:-1]},"items":[{items}]}}'


def _token(version: int, namespace: str, name: str) -> str:
    return base64.urlsafe_b64encode(encode([version, namespace, name]).encode()).decode()


def _read_token(store: Store, token: str) -> tuple[int, tuple[str, str]]:
    try:
        version, namespace, name = json.loads(base64.urlsafe_b64decode(token))
        version, after = int(version), (str(namespace), str(name))
    except (ValueError, TypeError, binascii.Error) as error:
        raise bad_request("continue key is not valid") from error
    if version < store.compacted:
        raise expired("The provided continue parameter is too old to display a consistent list result.")
    return version, after
