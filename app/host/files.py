"""Files of an instance: private from the first byte, replaced atomically, never outside the instance's directory.

The directory belongs to a user's home, and parts of it are written by pods; so a link found where a file or a
directory of ours should be is an error, not a path to follow.
"""

import errno
import os
import secrets
from pathlib import Path

from app.errors import InsufficientStorage, ServiceError


class HostDirectoryError(ServiceError):
    """A file or directory of the instance cannot be used."""

    code, status, title = "host-directory-unusable", 409, "The instance's directory cannot be used"


def make_private_directory(path: Path) -> None:
    """Create a directory with mode 0700; an existing one is left as it is, a link is refused."""
    if path.is_symlink():
        raise HostDirectoryError(f"{path} is a link where a directory is expected", remedy="Remove the link.")
    with _explained(path):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_private(path: Path, content: bytes) -> None:
    """Replace a file atomically, with mode 0600 from its first byte, and make it durable before returning."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    with _explained(path):
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)
            _sync_directory(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


def read_private(path: Path) -> bytes | None:
    """The content of a file of ours, or None if there is none; a link is refused."""
    with _explained(path):
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        with os.fdopen(descriptor, "rb") as file:
            return file.read()


def free_bytes(path: Path) -> int:
    """Space a user may still fill on the disk below the nearest existing parent of ``path``."""
    while not path.exists():
        path = path.parent
    figures = os.statvfs(path)
    return figures.f_bavail * figures.f_frsize


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _explained:  # noqa: N801 - reads as a statement
    """Turns the system's errors into ours, with what to do."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: object, traceback: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise InsufficientStorage(
                f"no space left to write {self._path}", remedy="Free space on that disk, then try again."
            ) from error
        if error.errno == errno.ELOOP:
            raise HostDirectoryError(
                f"{self._path} is a link where a file is expected", remedy="Remove the link."
            ) from error
        raise HostDirectoryError(
            f"{self._path} cannot be used: {error.strerror}", remedy="Check its owner and rights."
        ) from error
