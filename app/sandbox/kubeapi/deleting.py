"""Deleting objects: at once, after their finalizers, after a pod's grace period, or namespace by namespace."""

from dataclasses import dataclass

from app.sandbox.kubeapi import definitions
from app.sandbox.kubeapi.failures import conflict, forbidden, not_found
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, copy_of, entries, mapping, timestamp
from app.sandbox.kubeapi.store import Key, Record, Store, phase_of
from app.sandbox.kubeapi.writing import Admission, held_back

FOREGROUND_FINALIZER = "foregroundDeletion"
_UNDELETABLE = frozenset({"default", "kube-system", "kube-public"})


@dataclass(frozen=True)
class DeleteOptions:
    dry_run: bool = False
    grace_seconds: int | None = None
    uid: str = ""
    resource_version: str = ""
    orphan: bool = False
    foreground: bool = False


class Deleter:
    def __init__(self, store: Store, admission: Admission) -> None:
        self._store = store
        self._admission = admission

    async def delete(self, kind: Kind, key: Key, options: DeleteOptions) -> tuple[Record, bool]:
        """The object's last or present state, and whether it is gone."""
        before = self._present(kind, key)
        _check_preconditions(kind, before, options)
        await self._admission.validate(kind, "DELETE", None, before.obj, dry_run=options.dry_run, subresource="")
        before = self._present(kind, key)
        _check_preconditions(kind, before, options)
        if kind.storage == "namespaces":
            return self._delete_namespace(before, options), False
        grace = _grace_seconds(before, options)
        waits = grace > 0 or bool(before.metadata.get("finalizers")) or kind.storage == definitions.STORAGE
        if options.dry_run:
            return before, not waits
        if options.orphan:
            self._orphan(before)
        finalizer = definitions.CLEANUP_FINALIZER if kind.storage == definitions.STORAGE else ""
        if options.foreground and self._store.dependents(before.uid):
            finalizer = FOREGROUND_FINALIZER
        if not waits and not finalizer:
            return self._store.remove(before), True
        return self._mark(before, grace, finalizer)

    def _present(self, kind: Kind, key: Key) -> Record:
        found = self._store.get(key)
        if found is None:
            raise not_found(kind.resource, key.name)
        return found

    def _mark(self, before: Record, grace: int, finalizer: str) -> tuple[Record, bool]:
        """Begins a deletion that has to wait, for ``finalizer`` too, or shortens the wait of one that has begun."""
        after = copy_of(before.obj)
        metadata = after["metadata"]
        if not before.deleting:
            metadata["deletionTimestamp"] = timestamp(grace)
            metadata["deletionGracePeriodSeconds"] = grace
            if finalizer and finalizer not in entries(metadata, "finalizers"):
                metadata["finalizers"] = [*entries(metadata, "finalizers"), finalizer]
            if before.key.storage == definitions.STORAGE:
                definitions.terminating(after)
            if "generation" in metadata:
                metadata["generation"] += 1
        elif grace < int(metadata.get("deletionGracePeriodSeconds") or 0):
            metadata["deletionGracePeriodSeconds"] = grace
            metadata["deletionTimestamp"] = timestamp(grace)
        record = before if after == before.obj else self._store.put(before.key, after)
        if held_back(record):
            return record, False
        return self._store.remove(record), True

    def _delete_namespace(self, before: Record, options: DeleteOptions) -> Record:
        name = before.key.name
        if name in _UNDELETABLE:
            raise forbidden("namespaces", name, "this namespace may not be deleted")
        if options.dry_run or before.deleting:
            return before
        after = copy_of(before.obj)
        after["metadata"]["deletionTimestamp"] = timestamp()
        after["status"] = {**mapping(after, "status"), "phase": "Terminating"}
        return self._store.put(before.key, after)

    def _orphan(self, owner: Record) -> None:
        """The dependents forget this owner and stay."""
        for dependent in self._store.dependents(owner.uid):
            after = copy_of(dependent.obj)
            left = [one for one in entries(after["metadata"], "ownerReferences") if one.get("uid") != owner.uid]
            after["metadata"]["ownerReferences"] = left
            if not left:
                del after["metadata"]["ownerReferences"]
            self._store.put(dependent.key, after)


def _grace_seconds(before: Record, options: DeleteOptions) -> int:
    """Only a pod that runs on a node gets time; it has been given notice once, later requests can only shorten it."""
    spec = mapping(before.obj, "spec")
    if before.key.storage != "pods" or not spec.get("nodeName") or phase_of(before) in {"Succeeded", "Failed"}:
        return 0
    if options.grace_seconds is not None:
        return max(0, options.grace_seconds)
    if before.deleting:
        return int(before.metadata.get("deletionGracePeriodSeconds") or 0)
    return int(spec.get("terminationGracePeriodSeconds") or 0)


def _check_preconditions(kind: Kind, record: Record, options: DeleteOptions) -> None:
    if options.uid and options.uid != record.uid:
        why = f"Precondition failed: UID in precondition: {options.uid}, UID in object meta: {record.uid}"
        raise conflict(kind.resource, record.key.name, why)
    if options.resource_version and options.resource_version != str(record.version):
        why = (
            f"Precondition failed: ResourceVersion in precondition: {options.resource_version}, "
            f"ResourceVersion in object meta: {record.version}"
        )
        raise conflict(kind.resource, record.key.name, why)


def deleted_status(kind: Kind, record: Record) -> Object:
    """The answer to a deletion that is complete."""
    details = {"name": record.key.name, "kind": kind.plural, "uid": record.uid}
    if kind.group:
        details["group"] = kind.group
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}
