"""One instance's directory on the host: ``<home>/instances/<name>/``."""

import json
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from app.errors import StorageMoved, StorageNotOnHost
from app.host.config import InstanceConfig, StorageRecord
from app.host.files import HostDirectoryError, make_private_directory, read_private, write_private
from app.names import check_instance_name
from app.ports import Mount


class InstanceDirectory:
    """Paths and the record; nothing is created before ``prepare`` or the first write."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @classmethod
    def open(cls, instances_directory: Path, name: str) -> "InstanceDirectory":
        """The directory of an instance; its name is checked, since it becomes a path."""
        return cls(instances_directory / check_instance_name(name))

    @property
    def config_path(self) -> Path:
        """This service's record."""
        return self.path / "config.json"

    @property
    def data(self) -> Path:
        """KECS's one mounted directory."""
        return self.path / "data"

    @property
    def minio_directory(self) -> Path:
        """MinIO's data; must lie below the node's mount."""
        return self.data / "minio-data"

    @property
    def credentials_directory(self) -> Path:
        """Credentials and what else belongs to Velero."""
        return self.path / "velero-config"

    @property
    def proofs_directory(self) -> Path:
        """One directory per backup with its evidence."""
        return self.path / "proofs"

    def exists(self) -> bool:
        """Whether the instance has a directory at all."""
        return self.path.is_dir()

    def prepare(self) -> None:
        """Make what a backup needs: MinIO's directory, the ADR's link to it, and the private directories."""
        for directory in (self.minio_directory, self.credentials_directory, self.proofs_directory):
            make_private_directory(directory)
        link = self.path / "minio-data"
        if not link.is_symlink() and not link.exists():
            link.symlink_to(Path("data") / "minio-data")

    def load_config(self) -> InstanceConfig | None:
        """The record, or None for an instance never seen; a broken file is an error and never replaced silently."""
        content = read_private(self.config_path)
        if content is None:
            return None
        try:
            return InstanceConfig.model_validate_json(content)
        except ValidationError as error:
            raise HostDirectoryError(
                f"{self.config_path} is not readable: {error.errors()[0]['msg']}",
                remedy="Mend the file, or move it away to have the instance treated as a new one.",
            ) from error

    def save_config(self, config: InstanceConfig) -> None:
        """Write the record atomically."""
        self.path.mkdir(parents=True, exist_ok=True)
        content = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True)
        write_private(self.config_path, content.encode() + b"\n")

    def update_config(self, **changes: Any) -> InstanceConfig:
        """Change fields of the existing record in one write; raises ``HostDirectoryError`` if there is none."""
        config = self.load_config()
        if config is None:
            raise HostDirectoryError(f"{self.config_path} is missing", remedy="Start the instance to have it recorded.")
        changed = config.model_copy(update=changes)
        if changed != config:
            self.save_config(changed)
        return changed


def storage_paths(directory: InstanceDirectory, mounts: list[Mount] | None) -> StorageRecord:
    """Where MinIO's data lies on the node and on the host.

    Raises ``StorageNotOnHost`` unless it is the host side of a real mount: anything else dies with the node.
    Raises ``StorageMoved`` when backups lie at another place than the mount leads to now.
    """
    host_path = directory.minio_directory
    config = directory.load_config()
    recorded = config.storage if config else None
    if recorded is not None and recorded.host_path != str(host_path) and Path(recorded.host_path).is_dir():
        raise StorageMoved(
            f"the backups of this instance lie in {recorded.host_path}, but its cluster now mounts {host_path}",
            remedy=f"Copy them: cp -a {recorded.host_path}/. {host_path}/",
            recorded=recorded.host_path,
            mounted=str(host_path),
        )
    for mount in mounts or []:
        below = _below(host_path, mount.host_path)
        if below is not None:
            return StorageRecord(node_path=str(PurePosixPath(mount.node_path) / below), host_path=str(host_path))
    raise StorageNotOnHost(
        f"{host_path} is not below any directory the cluster's node mounts from the host, "
        "so backups would be lost with the node",
        remedy=f"Recreate the instance so that it mounts {directory.data}.",
        mounts=[f"{mount.host_path}:{mount.node_path}" for mount in mounts or []],
    )


def owner_ids(path: Path) -> tuple[int, int]:
    """User and group id that own a directory; MinIO runs under them, so that the user can remove its files."""
    status = path.stat()
    return status.st_uid, status.st_gid


def _below(path: Path, parent: str) -> str | None:
    """``path`` relative to ``parent``, with every link resolved; None if it leads elsewhere."""
    resolved, root = path.resolve(), Path(parent).resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else None
