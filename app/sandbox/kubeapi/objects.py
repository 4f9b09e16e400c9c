"""Kubernetes objects as raw dictionaries, and the few questions asked of every one of them."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]


def metadata_of(obj: Object) -> Object:
    """The object's own metadata dictionary, made when it is missing."""
    found = obj.get("metadata")
    if not isinstance(found, dict):
        found = obj["metadata"] = {}
    return found


def mapping(parent: Object, key: str) -> Object:
    """``parent[key]`` if it is a dictionary, otherwise a new one that is not stored in ``parent``."""
    found = parent.get(key)
    return found if isinstance(found, dict) else {}


def entries(parent: Object, key: str) -> list[Any]:
    """``parent[key]`` if it is a list, otherwise an empty one."""
    found = parent.get(key)
    return found if isinstance(found, list) else []


def at(obj: Object, path: str) -> Any:
    """The value under a dotted path, None when a step is missing."""
    value: Any = obj
    for step in path.split("."):
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def timestamp(after_seconds: int = 0) -> str:
    """The present (or later) as metav1.Time writes it."""
    return (datetime.now(UTC) + timedelta(seconds=after_seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def encode(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def copy_of(obj: Object) -> Object:
    """A deep copy; a round trip through JSON is the fastest one for what came from JSON."""
    copied: Object = json.loads(json.dumps(obj))
    return copied
