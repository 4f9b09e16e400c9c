"""Small readings of Kubernetes objects kept as plain dictionaries."""

import hashlib
from typing import Any

Object = dict[str, Any]

BACKUP_NAME_LABEL = "velero.io/backup-name"
BACKUP_UID_LABEL = "velero.io/backup-uid"
RESTORE_NAME_LABEL = "velero.io/restore-name"
STORAGE_LOCATION_LABEL = "velero.io/storage-location"
EXCLUDE_LABEL = "velero.io/exclude-from-backup"
RESTORE_FINALIZER = "restores.velero.io/external-resources-finalizer"


def name_of(obj: Object) -> str:
    return str(obj["metadata"].get("name", ""))


def namespace_of(obj: Object) -> str:
    """Empty for a cluster-scoped object."""
    return str(obj["metadata"].get("namespace") or "")


def labels_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("labels") or {}


def annotations_of(obj: Object) -> dict[str, str]:
    return obj["metadata"].get("annotations") or {}


def phase_of(obj: Object) -> str:
    """The phase of a Velero object; a new one has none yet."""
    return str((obj.get("status") or {}).get("phase") or "")


def spec_of(obj: Object) -> Object:
    return obj.get("spec") or {}


def status_of(obj: Object) -> Object:
    return obj.get("status") or {}


def label_value(name: str) -> str:
    """A name as a label value: over 63 characters it is cut to 57 and 6 hexadecimal digits of its SHA-256."""
    if len(name) <= 63:
        return name
    return name[:57] + hashlib.sha256(name.encode()).hexdigest()[:6]


def merge_patch_between(before: Any, after: Any) -> Any:
    """The JSON merge patch (RFC 7396) that turns ``before`` into ``after``; ``{}`` if they are equal objects."""
    if not isinstance(before, dict) or not isinstance(after, dict):
        return after
    patch: Object = {key: None for key in before if key not in after}
    for key, value in after.items():
        if key not in before:
            patch[key] = value
        elif before[key] != value:
            patch[key] = merge_patch_between(before[key], value)
    return patch
