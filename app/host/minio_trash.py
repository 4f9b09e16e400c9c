"""What MinIO has deleted and not removed yet: it does that five minutes after its start, and ours sleeps sooner."""

import shutil
from contextlib import suppress
from pathlib import Path

from app.host.files import HostDirectoryError, is_directory
from app.host.instance_directory import InstanceDirectory

#: MinIO cmd/object-api-utils.go and cmd/prepare-storage.go.
PLACES = (".minio.sys/tmp/.trash", ".minio.sys/tmp-old")


def empty_trash(directory: InstanceDirectory) -> None:
    """Remove it now; MinIO may be at work, and may remove the same. Raises ``HostDirectoryError`` if it stays.

    The disk itself may go on holding what was in the files.
    """
    for place in PLACES:
        path = directory.minio_directory / place
        if is_directory(path, below=directory.path):
            try:
                _empty(path)
            except OSError as error:
                raise HostDirectoryError(
                    f"{path} cannot be emptied: {error.strerror}",
                    remedy="Remove what is in it: MinIO has deleted it, and it may not be encrypted.",
                    path=str(path),
                ) from error


def _empty(path: Path) -> None:
    """Links are removed, not followed."""
    for entry in list(path.iterdir()):
        with suppress(FileNotFoundError):
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
