"""Objects on disk and in memory: every write goes through SQLite first, every read is served from memory."""

import json
import sqlite3
from bisect import bisect_right
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from app.sandbox.kubeapi.objects import Object, encode, entries, mapping

_SCHEMA = """
CREATE TABLE IF NOT EXISTS objects (
    storage TEXT NOT NULL, namespace TEXT NOT NULL, name TEXT NOT NULL, body TEXT NOT NULL,
    PRIMARY KEY (storage, namespace, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS version (one INTEGER PRIMARY KEY CHECK (one = 1), last INTEGER NOT NULL);
INSERT OR IGNORE INTO version VALUES (1, 1);
"""


class Key(NamedTuple):
    storage: str
    namespace: str
    name: str


@dataclass(frozen=True, eq=False)
class Record:
    """One state of one object. ``obj`` is shared by all readers and never changed."""

    key: Key
    version: int
    obj: Object

    @cached_property
    def body(self) -> str:
        """The JSON after kind and apiVersion, without its opening brace; serves every version of the kind."""
        return encode({field: value for field, value in self.obj.items() if field not in {"kind", "apiVersion"}})[1:]

    @property
    def metadata(self) -> Object:
        found: Object = self.obj["metadata"]
        return found

    @property
    def uid(self) -> str:
        return str(self.metadata.get("uid", ""))

    @property
    def deleting(self) -> bool:
        return bool(self.metadata.get("deletionTimestamp"))

    @property
    def owner_uids(self) -> list[str]:
        references = entries(self.metadata, "ownerReferences")
        return [str(one.get("uid", "")) for one in references if isinstance(one, dict)]


class Change(NamedTuple):
    """``before`` is None for ADDED; for DELETED ``after`` is the last state under the version of the deletion."""

    version: int
    type: str
    after: Record
    before: Record | None


class Store:
    """Used from one thread only. ``history`` changes are kept for watches that begin in the past."""

    def __init__(self, path: Path, history: int) -> None:
        self._database = sqlite3.connect(path, isolation_level=None)
        self._database.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;" + _SCHEMA)
        self._history: deque[Change] = deque(maxlen=max(1, history))
        self._objects: dict[str, dict[str, dict[str, Record]]] = defaultdict(lambda: defaultdict(dict))
        self._names: dict[tuple[str, str], list[str]] = {}
        self._by_uid: dict[str, Key] = {}
        self._dependents: dict[str, set[Key]] = defaultdict(set)
        self.listeners: list[Callable[[Change], None]] = []
        self.version: int = self._database.execute("SELECT last FROM version").fetchone()[0]
        self.compacted = self.version
        for storage, namespace, name, body in self._database.execute("SELECT * FROM objects"):
            obj = json.loads(body)
            self._index(Record(Key(storage, namespace, name), int(obj["metadata"]["resourceVersion"]), obj))

    def close(self) -> None:
        self._database.close()

    def get(self, key: Key) -> Record | None:
        namespaces = self._objects.get(key.storage)
        return namespaces.get(key.namespace, {}).get(key.name) if namespaces else None

    def records(self, storage: str, namespace: str | None = None, after: tuple[str, str] = ("", "")) -> list[Record]:
        """In the order of namespace and name, from the first beyond ``after``; None means every namespace."""
        namespaces = self._objects.get(storage, {})
        chosen = sorted(namespaces) if namespace is None else [namespace]
        found = []
        for one in chosen:
            if one >= after[0] and (records := namespaces.get(one)):
                names = self._sorted_names(storage, one)
                begin = bisect_right(names, after[1]) if one == after[0] else 0
                found += [records[name] for name in names[begin:]]
        return found

    def _sorted_names(self, storage: str, namespace: str) -> list[str]:
        """Kept until a name comes or goes: a list of many pages would sort them all for each."""
        names = self._names.get((storage, namespace))
        if names is None:
            names = self._names[storage, namespace] = sorted(self._objects[storage][namespace])
        return names

    def in_namespace(self, namespace: str) -> Iterator[Record]:
        """Everything of every kind in one namespace."""
        for namespaces in list(self._objects.values()):
            yield from list(namespaces.get(namespace, {}).values())

    def everything(self) -> Iterator[Record]:
        for namespaces in list(self._objects.values()):
            for records in list(namespaces.values()):
                yield from list(records.values())

    def by_uid(self, uid: str) -> Record | None:
        key = self._by_uid.get(uid)
        return self.get(key) if key else None

    def dependents(self, uid: str) -> list[Record]:
        """Objects with an ownerReference to ``uid``."""
        found = (self.get(key) for key in list(self._dependents.get(uid, ())))
        return [record for record in found if record is not None]

    def put(self, key: Key, obj: Object) -> Record:
        """Stores ``obj`` under a new resourceVersion; the caller gives the dictionary away."""
        before = self.get(key)
        version = self.version + 1
        obj["metadata"]["resourceVersion"] = str(version)
        record = Record(key, version, obj)
        self._commit("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, encode(obj)), version)
        if before is not None:
            self._forget(before)
        else:
            self._names.pop((key.storage, key.namespace), None)
        self._index(record)
        self._publish(Change(version, "MODIFIED" if before else "ADDED", record, before))
        return record

    def remove(self, before: Record, last: Object | None = None) -> Record:
        """Takes the object out; its last state (``last``, if it differs) carries the version of the removal."""
        version = self.version + 1
        obj = before.obj if last is None else last
        obj = {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(version)}}
        record = Record(before.key, version, obj)
        self._commit("DELETE FROM objects WHERE storage = ? AND namespace = ? AND name = ?", before.key, version)
        self._forget(before)
        self._names.pop((before.key.storage, before.key.namespace), None)
        self._publish(Change(version, "DELETED", record, before))
        return record

    def forget_history(self) -> None:
        """Nobody can watch from the past any more."""
        self._history.clear()
        self.compacted = self.version

    def records_at(self, version: int, storage: str, namespace: str | None) -> list[Record]:
        """``records`` as they were; ``version`` must not be older than ``compacted``."""
        found = {record.key: record for record in self.records(storage, namespace)}
        for change in reversed(self._history):
            if change.version <= version:
                break
            key = change.after.key
            if key.storage != storage or (namespace is not None and key.namespace != namespace):
                continue
            if change.before is None:
                found.pop(key, None)
            else:
                found[key] = change.before
        return [record for _, record in sorted(found.items())]

    def changes_after(self, version: int, storage: str) -> list[Change]:
        return [change for change in self._history if change.version > version and change.after.key.storage == storage]

    def _commit(self, statement: str, arguments: tuple[str, ...], version: int) -> None:
        self._database.execute("BEGIN IMMEDIATE")
        try:
            self._database.execute(statement, arguments)
            self._database.execute("UPDATE version SET last = ?", (version,))
            self._database.execute("COMMIT")
        except sqlite3.Error:
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            raise
        self.version = version

    def _publish(self, change: Change) -> None:
        if len(self._history) == self._history.maxlen:
            self.compacted = self._history[0].version
        self._history.append(change)
        for listener in list(self.listeners):
            listener(change)

    def _index(self, record: Record) -> None:
        key = record.key
        self._objects[key.storage][key.namespace][key.name] = record
        self._by_uid[record.uid] = key
        for uid in record.owner_uids:
            self._dependents[uid].add(key)

    def _forget(self, record: Record) -> None:
        key = record.key
        del self._objects[key.storage][key.namespace][key.name]
        if not self._objects[key.storage][key.namespace]:
            del self._objects[key.storage][key.namespace]
        self._by_uid.pop(record.uid, None)
        for uid in record.owner_uids:
            self._dependents[uid].discard(key)
            if not self._dependents[uid]:
                del self._dependents[uid]


def phase_of(record: Record) -> str:
    return str(mapping(record.obj, "status").get("phase", ""))
