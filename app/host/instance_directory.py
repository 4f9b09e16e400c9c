"""One instance's directory on the host: ``<home>/instances/<name>/``."""

import json
import os
from pathlib import Path, PurePosixPath
from shlex import quote
from typing import Any

import yaml
from pydantic import ValidationError

from app.errors import StorageMoved, StorageNotOnHost
from app.host.config import ExternalRecord, InstanceConfig, StorageRecord
from app.host.files import HostDirectoryError, is_directory, make_private_directory, read_private, write_private
from app.names import check_instance_name
from app.ports import Mount
from app.settings import StackSettings


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

    def make(self, path: Path) -> None:
        """Create a private directory of the instance, with what is missing above it; follows no link."""
        make_private_directory(path, below=self.path)

    def read(self, path: Path) -> bytes | None:
        """A file of the instance, or None; follows no link out of the instance's directory."""
        if not self.exists() or not is_directory(path.parent, below=self.path):
            return None
        return read_private(path, below=self.path)

    def write(self, path: Path, content: bytes) -> None:
        """Replace a file of the instance, privately and durably; follows no link out of the instance's directory."""
        write_private(path, content, below=self.path)

    def prepare(self, stack: StackSettings | None = None, *, encrypted: bool = False) -> None:
        """Make what a backup needs: MinIO's directory, the ADR's link to it, and the private directories."""
        self.make(self.minio_directory)
        link = self.path / "minio-data"
        if not link.is_symlink() and not link.exists():
            link.symlink_to(self.minio_directory.relative_to(self.path))
        self.prepare_private(location_document(stack or StackSettings(), encrypted=encrypted))

    def prepare_private(self, location: str) -> None:
        """Make what a backup needs wherever it goes; ``location`` describes for people where that is."""
        self.make(self.credentials_directory)
        self.make(self.proofs_directory)
        path = self.credentials_directory / "backup-location.yaml"
        content = location.encode()
        if self.read(path) != content:
            self.write(path, content)

    def load_config(self) -> InstanceConfig | None:
        """The record, or None for an instance never seen; a broken file is an error and never replaced silently."""
        content = self.read(self.config_path)
        if content is None:
            return None
        try:
            return InstanceConfig.model_validate_json(content)
        except ValidationError as error:
            first = error.errors(include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"])
            raise HostDirectoryError(
                f"{self.config_path} is not readable: {where + ': ' if where else ''}{first['msg']}",
                remedy="Mend the file, or move it away to have the instance treated as a new one.",
                path=str(self.config_path),
            ) from error

    def save_config(self, config: InstanceConfig) -> None:
        """Write the record atomically."""
        self.make(self.path)
        content = json.dumps(config.model_dump(mode="json"), indent=2, sort_keys=True)
        self.write(self.config_path, content.encode() + b"\n")

    def update_config(self, **changes: Any) -> InstanceConfig:
        """Change fields of the existing record in one write; raises ``HostDirectoryError`` if there is none."""
        config = self.load_config()
        if config is None:
            raise HostDirectoryError(f"{self.config_path} is missing", remedy="Start the instance to have it recorded.")
        changed = config.model_copy(update=changes)
        if changed != config:
            self.save_config(changed)
        return changed


def location_document(stack: StackSettings, *, encrypted: bool = False) -> str:
    """The storage location as YAML for people: what the service itself makes in the cluster, to read or to copy."""
    location = {
        "apiVersion": "velero.io/v1",
        "kind": "BackupStorageLocation",
        "metadata": {"name": "default", "namespace": stack.namespace},
        "spec": {
            "provider": "aws",
            "default": True,
            "objectStorage": {"bucket": stack.bucket},
            "config": {
                "region": "minio",
                "s3Url": f"http://minio.{stack.namespace}.svc:9000",
                "s3ForcePathStyle": "true",
                "checksumAlgorithm": "",
            }
            | ({"serverSideEncryption": "AES256"} if encrypted else {}),
        },
    }
    return _for_people(location)


def _for_people(location: dict[str, Any]) -> str:
    head = "# For people. kecs-state makes this object by itself; changing this file changes nothing.\n"
    return head + yaml.safe_dump(location, sort_keys=False)


def external_document(place: ExternalRecord, stack: StackSettings) -> str:
    """The same of an external store; its credentials are not told."""
    return _for_people(
        {
            "apiVersion": "velero.io/v1",
            "kind": "BackupStorageLocation",
            "metadata": {"name": "default", "namespace": stack.namespace},
            "spec": {
                "provider": "aws",
                "default": True,
                "objectStorage": {"bucket": place.bucket, "prefix": place.prefix},
                "config": {"s3Url": place.endpoint, "checksumAlgorithm": ""},
            },
        }
    )


def storage_paths(directory: InstanceDirectory, mounts: list[Mount] | None) -> StorageRecord:
    """Where MinIO's data lies on the node and on the host.

    Raises ``StorageNotOnHost`` unless it is the host side of a real mount: anything else dies with the node.
    Raises ``StorageMoved`` when backups lie in another place than the mount leads to now, and were not copied yet.
    """
    host_path = directory.minio_directory
    _refuse_moved(directory, host_path)
    # The deepest mount is the one the node really sees where mounts lie within each other.
    for mount in sorted(mounts or [], key=lambda mount: len(Path(mount.host_path).resolve().parts), reverse=True):
        below = _below(host_path, mount.host_path)
        if below is not None:
            return StorageRecord(node_path=str(PurePosixPath(mount.node_path) / below), host_path=str(host_path))
    raise StorageNotOnHost(
        f"{host_path} is not below any directory the cluster's node mounts from the host, "
        "so backups would be lost with the node",
        remedy=f"Recreate the instance so that it mounts {directory.data}, or keep its backups in an external store: "
        "docs/storage.md.",
        mounts=[f"{mount.host_path}:{mount.node_path}" for mount in mounts or []],
    )


def _refuse_moved(directory: InstanceDirectory, host_path: Path) -> None:
    config = directory.load_config()
    if config is None or not isinstance(config.storage, StorageRecord):
        return
    recorded = Path(config.storage.host_path)
    if recorded == host_path or not _lacks_files_of(host_path, recorded):
        return
    raise StorageMoved(
        f"the backups of this instance lie in {recorded}, but its cluster now mounts {host_path}",
        remedy=f"Copy them: mkdir -p {quote(str(host_path))} && "
        f"cp -a {quote(str(recorded))}/. {quote(str(host_path))}/",
        recorded=str(recorded),
        mounted=str(host_path),
    )


def _lacks_files_of(copy: Path, original: Path) -> bool:
    """Whether files of one directory are not, in the same size, in the other: they were not copied, or not all."""

    def refuse(error: OSError) -> None:
        raise error

    try:
        for folder, _, names in os.walk(original, onerror=refuse):
            for name in names:
                file = Path(folder) / name
                twin = copy / file.relative_to(original)
                if not twin.is_file() or twin.stat().st_size != file.lstat().st_size:
                    return True
    except FileNotFoundError:
        return False
    except OSError:
        return True  # what cannot be read may be a backup
    return False


def owner_ids(path: Path) -> tuple[int, int]:
    """User and group id that own a directory; MinIO runs under them, so that the user can remove its files."""
    status = path.stat()
    return status.st_uid, status.st_gid


def _below(path: Path, parent: str) -> str | None:
    """``path`` relative to ``parent``, with every link resolved; None if it leads elsewhere."""
    resolved, root = path.resolve(), Path(parent).resolve()
    return str(resolved.relative_to(root)) if resolved.is_relative_to(root) else None
