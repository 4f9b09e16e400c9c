"""Server-side apply: who owns which field, and what an applied configuration changes.

Owners are kept for appliers and for everyone who writes otherwise; only the server's own objects have none at first.
"""

import json
from typing import Any

from app.sandbox.kubeapi.failures import Failure, Flaw, bad_request
from app.sandbox.kubeapi.objects import Object, copy_of, encode, timestamp
from app.sandbox.kubeapi.patches import is_set, merge_keys

Path = tuple[str, ...]
_BEFORE_FIRST_APPLY = "before-first-apply"
# Not fields anybody owns: they identify the object or belong to the server.
_UNOWNED = frozenset({
    "apiVersion", "kind", "metadata/name", "metadata/namespace", "metadata/uid", "metadata/resourceVersion",
    "metadata/generation", "metadata/creationTimestamp", "metadata/managedFields", "metadata/deletionTimestamp",
    "metadata/selfLink", "metadata/deletionGracePeriodSeconds", "metadata/generateName",
})  # fmt: skip


def apply(live: Object | None, applied: Object, manager: str, *, force: bool) -> Object:
    """The object as it is after ``applied``; raises 409 with every field another manager holds."""
    owners = _Owners(live)
    values = _leaves(applied)
    previous = owners.of(manager)
    current = _leaves(live) if live is not None else {}
    contested = {
        path: other
        for path in values
        for other in owners.others(manager, path)
        if path[-1] != "." and current.get(path) != values[path]
    }
    if contested and not force:
        raise _conflict(contested)
    owners.take(manager, set(values), contested)
    merged = copy_of(applied) if live is None else _merge(copy_of(live), copy_of(applied), ())
    gone = [path for path in previous - set(values) if not owners.others(manager, path)]
    # Whole items first: without its key field an item could not be found any more.
    for path in sorted(gone, key=lambda path: (path[-1] != ".", -len(path))):
        _remove(merged, path)
    merged["metadata"]["managedFields"] = owners.entries(applied.get("apiVersion"))
    return merged


def note_creation(obj: Object, manager: str) -> None:
    """Everything is its maker's, who did not apply it."""
    owners = _Owners(None)
    owners.add(manager, "Update", set(_leaves(obj)))
    obj["metadata"]["managedFields"] = owners.entries(obj.get("apiVersion"))


def note_update(before: Object, after: Object, manager: str) -> None:
    """Moves the fields a plain write changed to its manager; not of what the server has made itself."""
    if not before["metadata"].get("managedFields"):
        return
    old, new = _leaves(before), _leaves(after)
    changed = {path for path, value in new.items() if path not in old or old[path] != value}
    owners = _Owners(before)
    owners.drop((set(old) - set(new)) | changed)
    if changed:
        owners.add(manager, "Update", changed)
    after["metadata"]["managedFields"] = owners.entries(after.get("apiVersion"))


class _Owners:
    """The decoded managedFields of one object."""

    def __init__(self, live: Object | None) -> None:
        self._held: dict[tuple[str, str], set[Path]] = {}
        self._as_read: dict[tuple[str, str], Object] = {}
        if live is None:
            return
        for entry in live["metadata"].get("managedFields") or ():
            who = (str(entry.get("manager", "")), str(entry.get("operation", "Update")))
            self._held[who] = set(_decode(entry.get("fieldsV1") or {}))
            self._as_read[who] = entry
        if not self._held:
            self._held[_BEFORE_FIRST_APPLY, "Update"] = set(_leaves(live))

    def of(self, manager: str) -> set[Path]:
        return set(self._held.get((manager, "Apply"), ()))

    def others(self, manager: str, path: Path) -> list[str]:
        return [
            name for (name, how), paths in self._held.items() if path in paths and (name, how) != (manager, "Apply")
        ]

    def take(self, manager: str, paths: set[Path], contested: dict[Path, str]) -> None:
        for who, held in self._held.items():
            if who != (manager, "Apply"):
                held.difference_update(contested)
        self._held[manager, "Apply"] = paths

    def drop(self, paths: set[Path]) -> None:
        for held in self._held.values():
            held.difference_update(paths)

    def add(self, manager: str, how: str, paths: set[Path]) -> None:
        self._held.setdefault((manager, how), set()).update(paths)

    def entries(self, api_version: Any) -> list[Object]:
        written = []
        for (manager, how), paths in self._held.items():
            if not paths:
                continue
            fields = _encode(paths)
            old = self._as_read.get((manager, how))
            if old is not None and old.get("fieldsV1") == fields:
                written.append(old)
                continue
            written.append({
                "manager": manager, "operation": how, "apiVersion": api_version, "time": timestamp(),
                "fieldsType": "FieldsV1", "fieldsV1": fields,
            })  # fmt: skip
        return written


def _conflict(contested: dict[Path, str]) -> Failure:
    flaws = [
        Flaw((_shown(path), "FieldManagerConflict", f'conflict with "{other}"')) for path, other in contested.items()
    ]
    noun = "conflict" if len(flaws) == 1 else "conflicts"
    message = f"Apply failed with {len(flaws)} {noun}: " + ", ".join(f"{text}: {path}" for path, _, text in flaws)
    causes = [{"reason": reason, "message": text, "field": path} for path, reason, text in flaws]
    return Failure(409, "Conflict", message, {"causes": causes})


def _shown(path: Path) -> str:
    shown = ""
    for step in path:
        sort, _, rest = step.partition(":")
        if sort == "f":
            shown += f".{rest}"
        elif sort == "k":
            shown += "[" + ",".join(f"{key}={encode(value)}" for key, value in json.loads(rest).items()) + "]"
    return shown


def _leaves(obj: Object) -> dict[Path, Any]:
    """Every field somebody can own, with its value."""
    found: dict[Path, Any] = {}
    _collect(obj, (), (), found)
    return {path: value for path, value in found.items() if "/".join(step[2:] for step in path[:2]) not in _UNOWNED}


def _collect(value: Any, path: Path, names: Path, found: dict[Path, Any]) -> None:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            if not (names == ("metadata",) and key == "managedFields"):
                _collect(inner, (*path, f"f:{key}"), (*names, key), found)
    elif isinstance(value, list) and (items := _associative(value, names)):
        for step, item in items.items():
            found[*path, step, "."] = None
            if isinstance(item, dict):
                _collect(item, (*path, step), names, found)
    elif path:
        found[path] = value


def _associative(items: list[Any], names: Path) -> dict[str, Any]:
    """Items of a mergeable list by their step in a path; empty for a list that is one value."""
    if is_set(names):
        return {f"v:{encode(item)}": item for item in items}
    keys = merge_keys(names)
    if not keys or not all(isinstance(item, dict) and keys[0] in item for item in items):
        return {}
    return {f"k:{encode(_identity(item, keys))}": item for item in items}


def _identity(item: Object, keys: tuple[str, ...]) -> Object:
    return {key: item.get(key, "TCP" if key == "protocol" else None) for key in keys}


def _merge(live: Any, applied: Any, names: Path) -> Any:
    if isinstance(live, dict) and isinstance(applied, dict):
        for key, value in applied.items():
            live[key] = _merge(live[key], value, (*names, key)) if key in live else value
        return live
    if isinstance(live, list) and isinstance(applied, list):
        old, new = _associative(live, names), _associative(applied, names)
        if old and new:
            return list({**old, **{step: _merge(old.get(step), item, names) for step, item in new.items()}}.values())
        if old and not applied:
            return live
    return applied


def _remove(obj: Any, path: Path) -> None:
    """Takes out one owned field; an item of a list goes with its ``.``, emptied parents stay."""
    holder: Any = obj
    names: Path = ()
    for step in path[:-2] if path[-1] == "." else path[:-1]:
        holder = _descend(holder, step, names)
        names = (*names, step[2:]) if step.startswith("f:") else names
        if holder is None:
            return
    if path[-1] == ".":
        if isinstance(holder, list):
            index = list(_associative(holder, names))
            if path[-2] in index:
                del holder[index.index(path[-2])]
    elif isinstance(holder, dict):
        holder.pop(path[-1][2:], None)


def _descend(holder: Any, step: str, names: Path) -> Any:
    if isinstance(holder, dict):
        return holder.get(step[2:])
    return _associative(holder, names).get(step) if isinstance(holder, list) else None


def _encode(paths: set[Path]) -> Object:
    tree: Object = {}
    for path in sorted(paths):
        node = tree
        for step in path:
            node = node.setdefault(step, {})
    return tree


def _decode(tree: Object, prefix: Path = ()) -> list[Path]:
    if not isinstance(tree, dict):
        raise bad_request("metadata.managedFields: unreadable fieldsV1")
    found: list[Path] = []
    for step, inner in tree.items():
        found += _decode(inner, (*prefix, step)) if inner else [(*prefix, step)]
    return found
