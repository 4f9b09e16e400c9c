"""Where Velero keeps what in the bucket (velero pkg/persistence/object_store_layout.go)."""

#: Where all volumes' file-system backups lie together.
REPOSITORY_PREFIX = "kopia/"


def backup_prefix(name: str) -> str:
    """Everything of one backup."""
    return f"backups/{name}/"


def metadata_key(name: str) -> str:
    """The Backup object as JSON; its presence is what makes a backup exist for Velero."""
    return f"backups/{name}/velero-backup.json"


def contents_key(name: str) -> str:
    """The objects themselves, as a gzipped tar."""
    return f"backups/{name}/{name}.tar.gz"


def logs_key(name: str) -> str:
    """Velero's log of the backup."""
    return f"backups/{name}/{name}-logs.gz"


def results_key(name: str) -> str:
    """Errors and warnings by namespace."""
    return f"backups/{name}/{name}-results.gz"


def resource_list_key(name: str) -> str:
    """Names of everything in the backup, by kind."""
    return f"backups/{name}/{name}-resource-list.json.gz"


def volume_info_key(name: str) -> str:
    """What happened to each volume."""
    return f"backups/{name}/{name}-volumeinfo.json.gz"


def pod_volume_backups_key(name: str) -> str:
    """The PodVolumeBackups of the backup."""
    return f"backups/{name}/{name}-podvolumebackups.json.gz"


def restore_results_key(name: str) -> str:
    """Errors and warnings of a restore."""
    return f"restores/{name}/restore-{name}-results.gz"


def restore_resource_list_key(name: str) -> str:
    """What a restore did with each object: ``v1/ConfigMap`` to ``ns/name(created)``."""
    return f"restores/{name}/restore-{name}-resource-list.json.gz"


def backup_name_of(key: str) -> str:
    """The backup that an object below ``backups/`` belongs to."""
    return key.removeprefix("backups/").partition("/")[0]
