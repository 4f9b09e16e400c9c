"""Velero's own kinds and the CustomResourceDefinitions the sandbox serves them with."""

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import Object


def _velero(plural: str, kind: str, version: str = "v1") -> ResourceType:
    return ResourceType(group="velero.io", version=version, plural=plural, kind=kind, namespaced=True)


BACKUPS = _velero("backups", "Backup")
RESTORES = _velero("restores", "Restore")
SCHEDULES = _velero("schedules", "Schedule")
DOWNLOAD_REQUESTS = _velero("downloadrequests", "DownloadRequest")
DELETE_BACKUP_REQUESTS = _velero("deletebackuprequests", "DeleteBackupRequest")
POD_VOLUME_BACKUPS = _velero("podvolumebackups", "PodVolumeBackup")
POD_VOLUME_RESTORES = _velero("podvolumerestores", "PodVolumeRestore")
BACKUP_REPOSITORIES = _velero("backuprepositories", "BackupRepository")
BACKUP_STORAGE_LOCATIONS = _velero("backupstoragelocations", "BackupStorageLocation")
VOLUME_SNAPSHOT_LOCATIONS = _velero("volumesnapshotlocations", "VolumeSnapshotLocation")
SERVER_STATUS_REQUESTS = _velero("serverstatusrequests", "ServerStatusRequest")
DATA_UPLOADS = _velero("datauploads", "DataUpload", "v2alpha1")
DATA_DOWNLOADS = _velero("datadownloads", "DataDownload", "v2alpha1")

ALL_KINDS = (
    BACKUPS,
    RESTORES,
    SCHEDULES,
    DOWNLOAD_REQUESTS,
    DELETE_BACKUP_REQUESTS,
    POD_VOLUME_BACKUPS,
    POD_VOLUME_RESTORES,
    BACKUP_REPOSITORIES,
    BACKUP_STORAGE_LOCATIONS,
    VOLUME_SNAPSHOT_LOCATIONS,
    SERVER_STATUS_REQUESTS,
    DATA_UPLOADS,
    DATA_DOWNLOADS,
)


_SHORT_NAMES = {
    "backupstoragelocations": ("bsl",),
    "volumesnapshotlocations": ("vsl",),
    "serverstatusrequests": ("ssr",),
}


def custom_resource_definition(kind: ResourceType) -> Object:
    """One definition: any content is kept, and status is part of the object (no status subresource)."""
    names: Object = {
        "kind": kind.kind,
        "listKind": f"{kind.kind}List",
        "plural": kind.plural,
        "singular": kind.kind.lower(),
    }
    if kind.plural in _SHORT_NAMES:
        names["shortNames"] = list(_SHORT_NAMES[kind.plural])
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": kind.name, "labels": {"component": "velero"}},
        "spec": {
            "group": kind.group,
            "names": names,
            "scope": "Namespaced",
            "versions": [
                {
                    "name": kind.version,
                    "served": True,
                    "storage": True,
                    "schema": {
                        "openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
                    },
                }
            ],
        },
    }


def custom_resource_definitions() -> Object:
    """All thirteen as the ``v1`` List that ``velero install --crds-only --dry-run -o json`` prints."""
    return {"apiVersion": "v1", "kind": "List", "items": [custom_resource_definition(kind) for kind in ALL_KINDS]}
