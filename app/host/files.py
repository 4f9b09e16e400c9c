"""Files of an instance: private from the first byte, replaced atomically, never outside the instance's directory.

The directory belongs to a user's home, and parts of it are written by pods; so a link found where a file or a
directory of ours should be is an error, not a path to follow. Directories are walked one by one without following
links, beginning at ``below``: that directory itself, and what lies above it, is the user's own business.
"""

import contextlib
import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from app.errors import DISK_FULL, InsufficientStorage, ServiceError, of_this_machine

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY


class HostDirectoryError(ServiceError):
    """A file or directory of the instance cannot be used."""

    code, status, title = "host-directory-unusable", 409, "The instance's directory cannot be used"


def make_private_directory(path: Path, *, below: Path | None = None) -> None:
    """Create a directory and its missing parents, each with mode 0700; existing ones are left as they are.

    Raises ``HostDirectoryError`` for a link or a file in the place of the directory, or of one between it and
    ``below``; without ``below`` only the directory itself must be no link.
    """
    with explained(path):
        if below is None:
            below = path.parent
        _make_missing(below)
        os.close(_open_directory(below, path.relative_to(below), make=True))


def write_private(path: Path, content: bytes, *, below: Path | None = None) -> None:
    """Replace a file atomically, with mode 0600 from its first byte, and make it durable before returning.

    Raises ``InsufficientStorage`` on a full disk and ``HostDirectoryError`` for a link on the way or missing rights;
    the old content stays in both cases.
    """
    temporary = f".{path.name}.{secrets.token_hex(6)}"
    with explained(path), _parent(path, below) as parent:
        try:
            with create_plain(path.with_name(temporary), below=below) as file:
                file.write(content)
            os.replace(temporary, path.name, src_dir_fd=parent, dst_dir_fd=parent)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary, dir_fd=parent)
            raise
        os.fsync(parent)


def read_private(path: Path, *, below: Path | None = None) -> bytes | None:
    """The content of a file of ours, or None if there is none; anything but a plain file is refused."""
    with explained(path):
        try:
            with open_plain(path, below=below) as file:
                return file.read()
        except FileNotFoundError:
            return None


@contextmanager
def open_plain(path: Path, *, below: Path | None = None) -> Iterator[BinaryIO]:
    """A file to read, reached without links; raises ``HostDirectoryError`` for anything but a plain file."""
    with _parent(path, below) as parent:
        # Not blocking: a named pipe put there must not hold the service up.
        descriptor = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=parent)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise HostDirectoryError(f"{path} is not a file", remedy="Move it away.")
        yield file


@contextmanager
def create_plain(path: Path, *, below: Path | None = None, mode: int = 0o600) -> Iterator[BinaryIO]:
    """A new file to write, durable at the end; raises ``FileExistsError`` where something stands already."""
    with _parent(path, below) as parent:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with os.fdopen(os.open(path.name, flags, mode, dir_fd=parent), "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())


def is_directory(path: Path, *, below: Path) -> bool:
    """Whether there is a directory, reached without links; raises ``HostDirectoryError`` if a link stands there."""
    with explained(path):
        try:
            os.close(_open_directory(below, path.relative_to(below)))
        except FileNotFoundError:
            return False
        return True


def free_bytes(path: Path) -> int:
    """Space a user may still fill on the disk below the nearest existing parent of ``path``."""
    with explained(path):
        while not path.exists():
            path = path.parent
        figures = os.statvfs(path)
    return figures.f_bavail * figures.f_frsize


def sync_directory(path: Path) -> None:
    """Make what was named or renamed in a directory durable."""
    descriptor = os.open(path, _DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _make_missing(path: Path) -> None:
    if not path.exists():
        _make_missing(path.parent)
        path.mkdir(mode=0o700, exist_ok=True)


@contextmanager
def _parent(path: Path, below: Path | None) -> Iterator[int]:
    """A descriptor of the directory a file lies in."""
    root = path.parent if below is None else below
    descriptor = _open_directory(root, path.parent.relative_to(root))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open_directory(root: Path, relative: Path, *, make: bool = False) -> int:
    """Open a directory below ``root``, one step at a time, following no link; make what is missing if asked to."""
    descriptor = os.open(root, _DIRECTORY)
    for part in relative.parts:
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(part, mode=0o700, dir_fd=descriptor)
            deeper = os.open(part, _DIRECTORY | os.O_NOFOLLOW, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = deeper
    return descriptor


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turns the system's errors into ours, with what to do."""
    try:
        yield
    except OSError as error:
        raise _explanation(path, error) from error


def _explanation(path: Path, error: OSError) -> ServiceError:
    if error.errno in DISK_FULL:
        return InsufficientStorage(
            f"no space left to write {path}", remedy="Free space on that disk, then try again.", path=str(path)
        )
    # Linux says "not a directory" of a link that O_NOFOLLOW met where a directory was asked for.
    if error.errno in {errno.ELOOP, errno.ENOTDIR, errno.EISDIR}:
        return HostDirectoryError(
            f"{path} is not reached by plain directories: a link or a file stands in the way",
            remedy="Move the link away; this service never follows one out of an instance's directory.",
            path=str(path),
        )
    return of_this_machine(error) or HostDirectoryError(
        f"{path} cannot be used: {error.strerror}", remedy="Check its owner and rights.", path=str(path)
    )
