"""JSON merge patch, JSON patch and strategic merge patch."""

from typing import Any

import jsonpatch

from app.sandbox.kubeapi.failures import Failure, bad_request
from app.sandbox.kubeapi.objects import Object, copy_of

# Lists that are merged by key, by the name of their field. Ports differ: see merge_keys.
_MERGE_KEYS: dict[str, tuple[str, ...]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "conditions": ("type",),
    "ownerReferences": ("uid",),
    "webhooks": ("name",),
    "podIPs": ("ip",),
    "images": (),
}
_SETS = frozenset({"finalizers"})


def merge_keys(path: tuple[str, ...]) -> tuple[str, ...]:
    """The key fields of the list at ``path`` (names of fields only), empty for a list replaced as a whole."""
    if not path:
        return ()
    if path[-1] == "ports":
        return (
            ("containerPort", "protocol") if "containers" in path or "initContainers" in path else ("port", "protocol")
        )
    if path[-1] == "addresses" and path[0] == "status":
        return ("type",)
    return _MERGE_KEYS.get(path[-1], ())


def is_set(path: tuple[str, ...]) -> bool:
    """Whether the list of plain values at ``path`` is merged value by value."""
    return bool(path) and path[-1] in _SETS


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386; ``target`` is not changed."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def json_patch(target: Object, operations: Any) -> Object:
    """RFC 6902; an operation that does not apply is a 422, an unreadable one a 400."""
    if not isinstance(operations, list):
        raise bad_request("json patch: the body must be a list of operations")
    try:
        patched = jsonpatch.apply_patch(copy_of(target), operations)
    except (TypeError, AttributeError) as error:
        raise bad_request(f"json patch: {error}") from error
    except (jsonpatch.InvalidJsonPatch, jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Failure(
            422, "Invalid", f"the server rejected our request due to an error in our request: {error}"
        ) from error
    if not isinstance(patched, dict):
        raise bad_request("json patch: the result is not an object")
    return patched


def strategic_merge_patch(target: Any, patch: Any, path: tuple[str, ...] = ()) -> Any:
    """Kubernetes' own patch: lists with a merge key are merged item by item. ``target`` is not changed."""
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$"):
            continue
        if value is None or (isinstance(value, dict) and value.get("$patch") == "delete"):
            merged.pop(key, None)
        elif isinstance(value, list):
            merged[key] = _merge_list(merged.get(key), value, (*path, key))
        else:
            merged[key] = strategic_merge_patch(merged.get(key), value, (*path, key))
    _apply_directives(merged, patch, path)
    return merged


def _apply_directives(merged: Object, patch: Object, path: tuple[str, ...]) -> None:
    for directive, value in patch.items():
        word, _, field = directive.partition("/")
        if word == "$retainKeys":
            for key in set(merged) - set(value):
                del merged[key]
        elif word == "$deleteFromPrimitiveList":
            merged[field] = [item for item in merged.get(field) or () if item not in value]
        elif word == "$setElementOrder" and isinstance(merged.get(field), list):
            merged[field] = _ordered(merged[field], value, merge_keys((*path, field))[:1])


def _ordered(items: list[Any], order: list[Any], keys: tuple[str, ...]) -> list[Any]:
    """Items named in ``order`` in that order, then the others as they were."""
    wanted = [_identity(item, keys) for item in order]
    positions = {_identity(item, keys): place for place, item in enumerate(items)}
    first = [items[positions[identity]] for identity in wanted if identity in positions]
    return first + [item for item in items if _identity(item, keys) not in wanted]


def _identity(item: Any, keys: tuple[str, ...]) -> str:
    return repr([item.get(key) for key in keys]) if keys and isinstance(item, dict) else repr(item)


def _merge_list(current: Any, patch: list[Any], path: tuple[str, ...]) -> list[Any]:
    existing = current if isinstance(current, list) else []
    if is_set(path):
        return existing + [item for item in patch if item not in existing]
    # Strategic merge knows ports by their number alone, server-side apply by number and protocol.
    keys = merge_keys(path)[:1]
    directives = [item for item in patch if isinstance(item, dict) and "$patch" in item]
    if not keys or {"$patch": "replace"} in directives:
        return [item for item in patch if item not in directives]
    removed = {_identity(item, keys) for item in directives if item["$patch"] == "delete"}
    merged = {_identity(item, keys): item for item in existing}
    for item in patch:
        identity = _identity(item, keys)
        if item not in directives:
            merged[identity] = strategic_merge_patch(merged.get(identity), item, path)
    return [item for identity, item in merged.items() if identity not in removed]
