"""Bodies of Velero's custom resources and of the policies they refer to; pure."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import yaml

from app.kubernetes.resources import CONFIG_MAPS, Resource
from app.names import velero_label_value
from app.velero.models import (
    BACKUP_NAME_LABEL,
    BACKUP_UID_LABEL,
    BACKUPS,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    POD_VOLUME_BACKUPS,
    STORAGE_LOCATION_LABEL,
    Backup,
    parse_backup,
)

#: An expiration nearer than this is moved when a backup is imported: Velero deletes what has expired.
LEAST_LIFETIME = timedelta(days=1)
NEW_LIFETIME = timedelta(days=36_500)


def custom_resource(
    resource: Resource,
    namespace: str,
    name: str,
    spec: Mapping[str, Any],
    labels: Mapping[str, str] | None = None,
    annotations: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """An object as it is posted; an empty name is for ``generateName``."""
    metadata: dict[str, Any] = {"namespace": namespace, "labels": dict(labels or {})}
    metadata |= {"name": name} if name else {}
    metadata |= {"annotations": dict(annotations)} if annotations else {}
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, "spec": dict(spec)}


def ours(labels: Mapping[str, str] | None = None) -> dict[str, str]:
    """Labels that say that this service made an object."""
    return {MANAGED_BY_LABEL: MANAGED_BY} | dict(labels or {})


def imported_backup(metadata: Mapping[str, Any], namespace: str, location: str) -> dict[str, Any]:
    """The Backup of ``velero-backup.json`` for another cluster: specification, labels, annotations and status."""
    stored = parse_backup(metadata)
    labels = stored.metadata.labels | {STORAGE_LOCATION_LABEL: velero_label_value(location)}
    spec = {**(metadata.get("spec") or {}), "storageLocation": location}
    status = dict(metadata.get("status") or {})
    now = datetime.now(UTC)
    if stored.status.expiration is not None and stored.status.expiration < now + LEAST_LIFETIME:
        status["expiration"] = f"{now + NEW_LIFETIME:%Y-%m-%dT%H:%M:%SZ}"
    body = custom_resource(BACKUPS, namespace, stored.name, spec, labels, stored.metadata.annotations)
    return body | {"status": status}


def imported_volume(volume: Mapping[str, Any], backup: Backup, namespace: str) -> dict[str, Any]:
    """A PodVolumeBackup of an imported Backup: its label and its owner carry the new UID."""
    stored = volume["metadata"]
    labels = (stored.get("labels") or {}) | {
        BACKUP_NAME_LABEL: velero_label_value(backup.name),
        BACKUP_UID_LABEL: backup.uid,
    }
    body = custom_resource(
        POD_VOLUME_BACKUPS, namespace, stored["name"], volume.get("spec") or {}, labels, stored.get("annotations")
    )
    owner = {"apiVersion": BACKUPS.api_version, "kind": BACKUPS.kind, "name": backup.name, "uid": backup.uid}
    body["metadata"]["ownerReferences"] = [owner | {"controller": True}]
    return body | {"status": volume.get("status") or {}}


def policy_config_map(policy: Mapping[str, Any], namespace: str) -> dict[str, Any]:
    """The ConfigMap of a filter policy; its name comes from its content, so equal policies share one."""
    content = json.dumps(policy, sort_keys=True)
    name = f"kecs-state-policy-{hashlib.sha256(content.encode()).hexdigest()[:12]}"
    return {
        "apiVersion": CONFIG_MAPS.api_version,
        "kind": CONFIG_MAPS.kind,
        "metadata": {"name": name, "namespace": namespace, "labels": ours()},
        "data": {"policy": yaml.safe_dump(json.loads(content), sort_keys=False)},
    }


def asks_for_the_same(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Whether a specification is ours as Velero may have completed it: fields added, lists only made longer."""
    for key, value in wanted.items():
        theirs = found.get(key)
        if isinstance(value, list):
            if not isinstance(theirs, list) or not set(value) <= set(theirs):
                return False
        elif theirs != value:
            return False
    return True
