"""What happens on its own: namespaces empty themselves, dependents follow their owners, definitions their kinds."""

import asyncio
import logging
import uuid
from collections.abc import Callable
from contextlib import suppress

from app.sandbox.kubeapi import definitions
from app.sandbox.kubeapi.deleting import FOREGROUND_FINALIZER, DeleteOptions, Deleter
from app.sandbox.kubeapi.failures import Failure
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, copy_of, entries, mapping, timestamp
from app.sandbox.kubeapi.registry import Registry, kinds_of
from app.sandbox.kubeapi.store import Change, Key, Record, Store
from app.sandbox.kubeapi.writing import held_back

_RETRY_SECONDS = 1.0
log = logging.getLogger(__name__)


class Housekeeping:
    """One task that works through what changes leave to do; a duty that fails is tried again."""

    def __init__(self, store: Store, registry: Registry, deleter: Deleter, ca: str) -> None:
        self._store = store
        self._registry = registry
        self._deleter = deleter
        self._ca = ca
        self._duties: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
        self._waiting: set[tuple[str, str]] = set()

    def begin(self) -> None:
        """Takes up what an earlier process left undone, then follows every change."""
        for record in self._store.everything():
            if record.deleting and not held_back(record):
                self._store.remove(record)
            else:
                self._consider(record)
        self._store.listeners.append(self._notice)

    async def run(self) -> None:
        while True:
            duty = await self._duties.get()
            self._waiting.discard(duty)
            try:
                await self._perform(*duty)
            except Failure as failure:
                # An admission webhook that refuses, most of all.
                log.warning("%s %s: %s", *duty, failure.message)
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._owe, *duty)
            except Exception:
                # One duty that cannot be done must not end all the others.
                log.exception("%s %s", *duty)

    def _owe(self, what: str, subject: str) -> None:
        if (what, subject) not in self._waiting:
            self._waiting.add((what, subject))
            self._duties.put_nowait((what, subject))

    def _notice(self, change: Change) -> None:
        record = change.after
        if change.type != "DELETED":
            self._consider(record)
            return
        if record.uid and self._store.dependents(record.uid):
            self._owe("dependents", record.uid)
        for owner in (self._store.by_uid(uid) for uid in record.owner_uids):
            if owner is not None and _goes_last(owner):
                self._owe("foreground", owner.uid)
        if record.key.namespace:
            namespace = self._store.get(Key("namespaces", "", record.key.namespace))
            if namespace is not None:
                self._owe("namespace" if namespace.deleting else "furnish", record.key.namespace)
        kind = self._registry.of_storage(record.key.storage)
        if kind is not None and kind.custom:
            self._owe("definition", record.key.storage)
        if record.key.storage == definitions.STORAGE:
            self._drop_services(record.obj)

    def _consider(self, record: Record) -> None:
        if record.key.storage == "namespaces":
            self._owe("namespace" if record.deleting else "furnish", record.key.name)
        elif record.key.storage == definitions.STORAGE:
            self._owe("definition", record.key.name)
        if _goes_last(record):
            self._owe("foreground", record.uid)
        for uid in record.owner_uids:
            if self._store.by_uid(uid) is None:
                self._owe("dependents", uid)

    async def _perform(self, what: str, subject: str) -> None:
        match what:
            case "furnish":
                self._furnish(subject)
            case "namespace":
                await self._empty(subject)
            case "dependents":
                await self._collect(subject)
            case "foreground":
                await self._lead(subject)
            case _:
                await self._tend_definition(subject)

    def _furnish(self, namespace: str) -> None:
        """What every namespace has from the start."""
        found = self._store.get(Key("namespaces", "", namespace))
        if found is None or found.deleting:
            return
        bundle = {"ca.crt": self._ca}
        for kind, name, content in (
            ("serviceaccounts", "default", {}),
            ("configmaps", "kube-root-ca.crt", {"data": bundle}),
        ):
            if self._store.get(Key(kind, namespace, name)) is None:
                self.place(
                    self._registry.built_in(kind), {"metadata": {"name": name, "namespace": namespace}, **content}
                )

    def place(self, kind: Kind, content: Object) -> None:
        """Stores an object of the server's own making as it is, status included."""
        own = {"uid": str(uuid.uuid4()), "creationTimestamp": timestamp()}
        metadata = {**content["metadata"], **own}
        if kind.has_generation:
            metadata["generation"] = 1
        obj = {"kind": kind.kind, "apiVersion": kind.api_version, **content, "metadata": metadata}
        self._store.put(Key(kind.storage, metadata.get("namespace", ""), metadata["name"]), obj)

    async def _empty(self, name: str) -> None:
        """Deletes what is left of a namespace; the last deletion lets the namespace itself go."""
        namespace = self._store.get(Key("namespaces", "", name))
        if namespace is None or not namespace.deleting:
            return
        await self._delete_each(
            [record for record in self._store.in_namespace(name) if not record.deleting],
            lambda _: DeleteOptions(),
        )
        namespace = self._store.get(namespace.key)
        if namespace is None:
            return
        left = list(self._store.in_namespace(name))
        if left:
            self._tell(namespace, left)
            return
        after = copy_of(namespace.obj)
        spec = mapping(after, "spec")
        after["spec"] = {**spec, "finalizers": [one for one in entries(spec, "finalizers") if one != "kubernetes"]}
        if after["spec"]["finalizers"] or namespace.metadata.get("finalizers"):
            if after != namespace.obj:
                self._store.put(namespace.key, after)
            return
        self._store.remove(namespace)

    def _tell(self, namespace: Record, left: list[Record]) -> None:
        """Writes down what keeps a namespace from going; nothing when that is known already."""
        finalizers = {one for record in left for one in entries(record.metadata, "finalizers")}
        told = {
            "NamespaceDeletionDiscoveryFailure": (
                False,
                "ResourcesDiscovered",
                "All resources successfully discovered",
            ),
            "NamespaceContentRemaining": (
                True,
                "SomeResourcesRemain",
                f"Some resources are remaining: {', '.join(sorted({record.key.storage for record in left}))}",
            ),
            "NamespaceFinalizersRemaining": (
                bool(finalizers),
                "SomeFinalizersRemain" if finalizers else "ContentHasNoFinalizers",
                f"Some content in the namespace has finalizers remaining: {', '.join(sorted(finalizers))}",
            ),
        }
        conditions = [
            {"type": name, "status": str(holds), "reason": reason, "message": message}
            for name, (holds, reason, message) in told.items()
        ]
        known = entries(mapping(namespace.obj, "status"), "conditions")
        if [{field: one.get(field) for field in conditions[0]} for one in known] == conditions:
            return
        after = copy_of(namespace.obj)
        stamped = [{**one, "lastTransitionTime": timestamp()} for one in conditions]
        after["status"] = {**mapping(after, "status"), "conditions": stamped}
        self._store.put(namespace.key, after)

    async def _collect(self, uid: str) -> None:
        """Background deletion of everything whose owners are all gone."""
        if self._store.by_uid(uid) is not None:
            return
        ownerless = [
            record
            for record in self._store.dependents(uid)
            if not record.deleting and not any(self._store.by_uid(owner) for owner in record.owner_uids)
        ]
        await self._delete_each(ownerless, lambda record: DeleteOptions(uid=record.uid))

    async def _lead(self, uid: str) -> None:
        """Foreground deletion: the owner goes after the dependents that block it."""
        owner = self._store.by_uid(uid)
        if owner is None or not _goes_last(owner):
            return
        dependents = [record for record in self._store.dependents(uid) if not record.deleting]
        await self._delete_each(dependents, lambda record: DeleteOptions(uid=record.uid))
        owner = self._store.by_uid(uid)
        if owner is not None and not any(_blocks(record, uid) for record in self._store.dependents(uid)):
            self._release(owner, FOREGROUND_FINALIZER)

    def _release(self, record: Record, finalizer: str) -> None:
        """Takes a finalizer of the server's own away, and with the last one the object."""
        after = copy_of(record.obj)
        after["metadata"]["finalizers"] = [one for one in entries(record.metadata, "finalizers") if one != finalizer]
        if after != record.obj:
            record = self._store.put(record.key, after)
        if record.deleting and not held_back(record):
            self._store.remove(record)

    async def _delete_each(self, records: list[Record], options: Callable[[Record], DeleteOptions]) -> None:
        """The first refusal is raised once every other deletion is through."""
        refused: Failure | None = None
        for record in records:
            kind = self._registry.of_storage(record.key.storage)
            if kind is None:
                if self._store.get(record.key) is record:
                    self._store.remove(record)
                continue
            try:
                await self._deleter.delete(kind, record.key, options(record))
            except Failure as failure:
                if failure.reason not in {"NotFound", "Conflict"}:
                    refused = refused or failure
        if refused is not None:
            raise refused

    async def _tend_definition(self, name: str) -> None:
        definition = self._store.get(Key(definitions.STORAGE, "", name))
        if definition is None:
            return
        if not definition.deleting:
            self._announce(definition.obj)
            return
        if definitions.CLEANUP_FINALIZER not in entries(definition.metadata, "finalizers"):
            return
        await self._delete_each(
            [record for record in self._store.records(name) if not record.deleting], lambda _: DeleteOptions()
        )
        definition = self._store.get(definition.key)
        if definition is None or self._store.records(name):
            return
        self._release(definition, definitions.CLEANUP_FINALIZER)

    def _announce(self, definition: Object) -> None:
        kind = self._registry.built_in(definitions.API_SERVICES)
        for served in kinds_of(definition):
            if self._store.get(Key(kind.storage, "", f"{served.version}.{served.group}")) is None:
                self.place(kind, definitions.api_service(served.group, served.version, automanaged="true"))

    def _drop_services(self, definition: Object) -> None:
        """The group versions that nobody serves any more lose their APIService."""
        for served in kinds_of(definition):
            found = self._store.get(Key(definitions.API_SERVICES, "", f"{served.version}.{served.group}"))
            if found is not None and not self._registry.custom_in_group(served.group, served.version):
                with suppress(KeyError):
                    self._store.remove(found)


def _goes_last(owner: Record) -> bool:
    return owner.deleting and FOREGROUND_FINALIZER in entries(owner.metadata, "finalizers")


def _blocks(dependent: Record, owner_uid: str) -> bool:
    references = entries(dependent.metadata, "ownerReferences")
    return any(one.get("uid") == owner_uid and one.get("blockOwnerDeletion") is True for one in references)
