"""Names of a backup's and a restore's objects in the bucket."""

ALLOWED_TOP_LEVEL = frozenset({"backups", "restores", "restic", "kopia", "metadata", "plugins"})
BACKUPS = "backups/"


def backup_prefix(name: str) -> str:
    return f"backups/{name}/"


def backup_metadata(name: str) -> str:
    return f"backups/{name}/velero-backup.json"


def backup_contents(name: str) -> str:
    return f"backups/{name}/{name}.tar.gz"


def backup_file(name: str, suffix: str) -> str:
    """One of ``logs.gz``, ``results.gz``, ``resource-list.json.gz``, ``volumeinfo.json.gz`` …"""
    return f"backups/{name}/{name}-{suffix}"


def restore_prefix(name: str) -> str:
    return f"restores/{name}/"


def restore_file(name: str, suffix: str) -> str:
    return f"restores/{name}/restore-{name}-{suffix}"


def restore_volume_info(name: str) -> str:
    """The one file of a restore without the ``restore-`` prefix."""
    return f"restores/{name}/{name}-volumeinfo.json.gz"


_DOWNLOAD_SUFFIXES = {
    "BackupLog": "logs.gz",
    "BackupVolumeSnapshots": "volumesnapshots.json.gz",
    "BackupItemOperations": "itemoperations.json.gz",
    "BackupResourceList": "resource-list.json.gz",
    "BackupResults": "results.gz",
    "BackupVolumeInfos": "volumeinfo.json.gz",
    "RestoreLog": "logs.gz",
    "RestoreResults": "results.gz",
    "RestoreResourceList": "resource-list.json.gz",
    "RestoreItemOperations": "itemoperations.json.gz",
}


def download_key(kind: str, name: str) -> str | None:
    """The object a DownloadRequest of this kind asks for; None for a kind that is not known."""
    if kind == "BackupContents":
        return backup_contents(name)
    if kind == "RestoreVolumeInfo":
        return restore_volume_info(name)
    suffix = _DOWNLOAD_SUFFIXES.get(kind)
    if suffix is None:
        return None
    return restore_file(name, suffix) if kind.startswith("Restore") else backup_file(name, suffix)
