"""Creating and changing objects."""

import random
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import NoneType
from typing import Protocol

from app.sandbox.kubeapi import aggregation, definitions
from app.sandbox.kubeapi import apply as server_side
from app.sandbox.kubeapi.allocation import allocate
from app.sandbox.kubeapi.defaults import fill_in, first_status
from app.sandbox.kubeapi.failures import (
    Failure,
    Flaw,
    already_exists,
    bad_request,
    conflict,
    forbidden,
    invalid,
    modified_meanwhile,
    not_found,
)
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.metadata import check_metadata_shape
from app.sandbox.kubeapi.objects import Object, copy_of, entries, mapping, metadata_of, timestamp
from app.sandbox.kubeapi.shapes import check_shape, drop_unknown
from app.sandbox.kubeapi.store import Key, Record, Store
from app.sandbox.kubeapi.validation import check, check_change

_ATTEMPTS = 10
_SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
_SERVER_FIELDS = ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation")


@dataclass(frozen=True)
class WriteOptions:
    dry_run: bool = False
    manager: str = "unknown"
    force: bool = False
    patching: bool = False
    strict: bool = False


class Admission(Protocol):
    """What stands between a request and the store; both raise Failure to refuse."""

    async def mutate(
        self, kind: Kind, operation: str, obj: Object, old: Object | None, *, dry_run: bool, subresource: str
    ) -> Object: ...

    async def validate(
        self, kind: Kind, operation: str, obj: Object | None, old: Object | None, *, dry_run: bool, subresource: str
    ) -> None: ...


class Writer:
    """Everything between the last read and the write happens without giving up control, so nothing gets lost."""

    def __init__(self, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission

    async def create(self, kind: Kind, namespace: str, body: Object, options: WriteOptions) -> Record:
        obj = _new(kind, namespace, body, strict=options.strict)
        self._require_namespace(kind, namespace, obj)
        self._require_living_type(kind, obj)
        fill_in(kind, obj)
        obj = await self._admission.mutate(kind, "CREATE", obj, None, dry_run=options.dry_run, subresource="")
        fill_in(kind, obj)
        check(kind, obj)
        await self._admission.validate(kind, "CREATE", obj, None, dry_run=options.dry_run, subresource="")
        self._require_namespace(kind, namespace, obj)
        key = Key(kind.storage, namespace, obj["metadata"]["name"])
        if self._store.get(key) is not None:
            raise already_exists(kind.resource, key.name)
        self._settle(kind, obj, None)
        if not obj["metadata"].get("managedFields"):
            server_side.note_creation(obj, options.manager)
        return Record(key, self._store.version, obj) if options.dry_run else self._store.put(key, obj)

    async def update(
        self,
        kind: Kind,
        key: Key,
        change: Callable[[Object], Object],
        options: WriteOptions,
        *,
        subresource: str = "",
        applying: bool = False,
    ) -> Record:
        """``change`` gets a copy of the present object and returns the wanted one; called again after a race."""
        for _ in range(_ATTEMPTS):
            before = self._store.get(key)
            if before is None:
                raise not_found(kind.resource, key.name)
            present = copy_of(before.obj) | {"apiVersion": kind.api_version, "kind": kind.kind}
            after = _carried_over(kind, before, change(present), subresource, options)
            fill_in(kind, after)
            after = await self._admission.mutate(
                kind, "UPDATE", after, before.obj, dry_run=options.dry_run, subresource=subresource
            )
            fill_in(kind, after)
            with _as_patch_result(options):
                check(kind, after)
            check_change(kind, before.obj, after)
            _refuse_new_finalizers(kind, before, after["metadata"])
            if not subresource and kind.has_generation and _content(after, kind) != _content(before.obj, kind):
                after["metadata"]["generation"] = int(before.metadata.get("generation", 0)) + 1
            await self._admission.validate(
                kind, "UPDATE", after, before.obj, dry_run=options.dry_run, subresource=subresource
            )
            if self._store.get(key) is not before:
                continue
            self._settle(kind, after, before)
            if not applying:
                server_side.note_update(before.obj, after, options.manager)
            return self._finish(key, before, after, dry_run=options.dry_run)
        raise modified_meanwhile(kind.resource, key.name)

    async def apply(self, kind: Kind, key: Key, applied: Object, options: WriteOptions) -> tuple[Record, bool]:
        """Server-side apply; the second value tells whether the object is new."""
        if metadata_of(applied).get("managedFields"):
            raise bad_request("metadata.managedFields must be nil")
        if applied["metadata"].setdefault("name", key.name) != key.name:
            raise _other_name(str(applied["metadata"]["name"]), key.name)
        if self._store.get(key) is None:
            merged = server_side.apply(None, applied, options.manager, force=options.force)
            try:
                return await self.create(kind, key.namespace, merged, options), True
            except Failure as failure:
                if failure.reason != "AlreadyExists":
                    raise

        def change(live: Object) -> Object:
            return server_side.apply(live, applied, options.manager, force=options.force)

        return await self.update(kind, key, change, options, applying=True), False

    def _require_namespace(self, kind: Kind, namespace: str, obj: Object) -> None:
        if not kind.namespaced:
            return
        found = self._store.get(Key("namespaces", "", namespace))
        if found is None:
            raise not_found("namespaces", namespace)
        if found.deleting:
            name = str(obj["metadata"].get("name", ""))
            why = f"unable to create new content in namespace {namespace} because it is being terminated"
            message = f"namespace {namespace} is being terminated"
            causes = [{"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}]
            raise forbidden(kind.resource, name, why, causes)

    def _require_living_type(self, kind: Kind, obj: Object) -> None:
        definition = self._store.get(Key(definitions.STORAGE, "", kind.storage)) if kind.custom else None
        if definition is not None and definition.deleting:
            why = "create not allowed while custom resource definition is terminating"
            raise forbidden(kind.resource, str(obj["metadata"].get("name", "")), why)

    def _settle(self, kind: Kind, obj: Object, before: Record | None) -> None:
        """What the server itself decides last."""
        if kind.storage == "services":
            own = obj["metadata"]["uid"]
            others = (other.obj for other in self._store.records("services") if other.uid != own)
            allocate(obj, others, before.obj if before else None)
        elif kind.storage == definitions.STORAGE:
            definitions.settle(obj)
        elif kind.storage == aggregation.STORAGE:
            aggregation.judge(obj, self._store)

    def _finish(self, key: Key, before: Record, after: Object, *, dry_run: bool) -> Record:
        if dry_run:
            return Record(key, before.version, after)
        # One form is stored, whatever version of the kind the request spoke.
        after |= {"apiVersion": before.obj["apiVersion"], "kind": before.obj["kind"]}
        after["metadata"]["resourceVersion"] = before.metadata["resourceVersion"]
        if after == before.obj:
            return before
        if before.deleting and not held_back(Record(key, before.version, after)):
            return self._store.remove(before, after)
        return self._store.put(key, after)


def held_back(record: Record) -> bool:
    """Whether an object in deletion has to stay: finalizers, or a pod whose node has not let it go."""
    if record.metadata.get("finalizers") or record.metadata.get("deletionGracePeriodSeconds"):
        return True
    return record.key.storage == "namespaces" and bool(mapping(record.obj, "spec").get("finalizers"))


def new_suffix() -> str:
    return "".join(random.choices(_SUFFIX_LETTERS, k=5))  # noqa: S311 - a name, not a secret


@contextmanager
def _as_patch_result(options: WriteOptions) -> Iterator[None]:
    """What is unreadable when it is sent is, as the result of a patch, invalid."""
    try:
        yield
    except Failure as failure:
        if options.patching and failure.reason == "BadRequest":
            raise Failure(422, "Invalid", f' "" is invalid: patch: {failure.message}') from failure
        raise


def _new(kind: Kind, namespace: str, body: Object, *, strict: bool) -> Object:
    obj = copy_of(body)
    _check_type(kind, namespace, obj)
    drop_unknown(kind, obj, strict=strict)
    metadata = obj["metadata"]
    if metadata.get("resourceVersion") not in {None, "", "0"}:
        raise bad_request("resourceVersion should not be set on objects to be created")
    for field in (*_SERVER_FIELDS, "resourceVersion", "selfLink"):
        metadata.pop(field, None)
    if not metadata.get("name") and metadata.get("generateName"):
        metadata["name"] = f"{metadata['generateName']}"[:58] + new_suffix()
    metadata["uid"] = str(uuid.uuid4())
    metadata["creationTimestamp"] = timestamp()
    if kind.namespaced:
        metadata["namespace"] = namespace
    if kind.has_generation:
        metadata["generation"] = 1
    if kind.has_status and kind.storage != "nodes":
        first_status(kind.storage, obj)
    return obj


def _check_type(kind: Kind, namespace: str, obj: Object) -> None:
    """The body belongs to the address it was sent to; fills in what it leaves out."""
    if not isinstance(obj.get("metadata", {}), dict | NoneType):
        raise bad_request("metadata: expected an object")
    metadata = metadata_of(obj)
    check_metadata_shape(metadata)
    for field, wanted in (("apiVersion", kind.api_version), ("kind", kind.kind)):
        if obj.setdefault(field, wanted) != wanted:
            raise bad_request(f"the {field} in the data ({obj[field]}) does not match the expected {field} ({wanted})")
    for field in ("spec", "status"):
        if obj.get(field) is None:
            obj.pop(field, None)
        elif not isinstance(obj[field], dict) and not kind.custom:
            raise bad_request(f"{kind.kind} in version {kind.version!r} cannot be handled: {field}: expected an object")
    if metadata.get("namespace") and metadata["namespace"] != namespace:
        raise bad_request(
            f"the namespace of the provided object does not match the namespace sent on the request: {namespace}"
        )
    check_shape(kind, obj)


def _carried_over(kind: Kind, before: Record, proposed: Object, subresource: str, options: WriteOptions) -> Object:
    """``proposed`` with everything a request to this address cannot change put back."""
    with _as_patch_result(options):
        _check_type(kind, before.key.namespace, proposed)
    drop_unknown(kind, proposed, strict=options.strict)
    metadata = proposed["metadata"]
    _check_identity(kind, before, metadata, patching=options.patching)
    if subresource:
        return _only_subresource(kind, before, proposed, subresource)
    for field in (*_SERVER_FIELDS, "namespace", "name"):
        metadata.pop(field, None)
        if field in before.metadata:
            metadata[field] = before.metadata[field]
    if "managedFields" not in metadata and "managedFields" in before.metadata:
        metadata["managedFields"] = before.metadata["managedFields"]
    metadata.pop("selfLink", None)
    if kind.storage == "namespaces":
        # Its finalizers have a subresource of their own.
        proposed["spec"] = before.obj["spec"]
    if kind.has_status:
        proposed.pop("status", None)
        if "status" in before.obj:
            proposed["status"] = before.obj["status"]
    return copy_of(proposed)


def _other_name(given: str, wanted: str) -> Failure:
    return bad_request(f"the name of the object ({given}) does not match the name on the URL ({wanted})")


def _check_identity(kind: Kind, before: Record, metadata: Object, *, patching: bool) -> None:
    """Refuses a body about another object, or about an earlier state of this one."""
    if metadata.get("name", before.key.name) != before.key.name:
        raise _other_name(str(metadata["name"]), before.key.name)
    if str(metadata.get("resourceVersion") or before.version) != str(before.version):
        raise modified_meanwhile(kind.resource, before.key.name)
    if metadata.get("uid") and metadata["uid"] != before.uid:
        if patching:
            flaw = Flaw.invalid("metadata.uid", metadata["uid"], "field is immutable")
            raise invalid(kind.kind, kind.group, before.key.name, [flaw])
        why = f"Precondition failed: UID in precondition: {metadata['uid']}, UID in object meta: {before.uid}"
        raise conflict(kind.resource, before.key.name, why)


def _only_subresource(kind: Kind, before: Record, proposed: Object, subresource: str) -> Object:
    after = copy_of(before.obj)
    if subresource == "finalize":
        after.setdefault("spec", {})["finalizers"] = entries(mapping(proposed, "spec"), "finalizers")
    elif "status" in proposed:
        after["status"] = proposed["status"]
    else:
        after.pop("status", None)
    if subresource == "status" and kind.storage == "deployments.apps":
        # Its controller notes the revision there, so that no new generation comes of it.
        after["metadata"].pop("annotations", None)
        if annotations := proposed["metadata"].get("annotations"):
            after["metadata"]["annotations"] = annotations
    return after


def _refuse_new_finalizers(kind: Kind, before: Record, metadata: Object) -> None:
    added = set(metadata.get("finalizers") or ()) - set(before.metadata.get("finalizers") or ())
    if before.deleting and added:
        why = "Forbidden: no new finalizers can be added if the object is being deleted, "
        why += f"found new finalizers {sorted(added)}"
        flaw = Flaw(("metadata.finalizers", "FieldValueForbidden", why))
        raise invalid(kind.kind, kind.group, before.key.name, [flaw])


def _content(obj: Object, kind: Kind) -> Object:
    """The part whose changes count as a new generation."""
    left_out = {"metadata", "apiVersion", "kind"} | ({"status"} if kind.has_status else set())
    content = {field: value for field, value in obj.items() if field not in left_out}
    if kind.storage == "deployments.apps":
        content["annotations"] = obj["metadata"].get("annotations") or {}
    return content
