"""Directories for what is unpacked in passing: private, gone at their end, and soon gone too if the process is killed.

They hold backups in clear, hence secrets. Each is locked by the process that uses it; the kernel frees the lock of a
killed one, and the next service removes what nobody holds.
"""

import fcntl
import os
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "kecs-state-scratch-"
#: A younger one may be between its making and its lock.
YOUNG_SECONDS = 60.0


@contextmanager
def scratch_directory() -> Iterator[Path]:
    """A new directory below ``TMPDIR``, 0700."""
    with tempfile.TemporaryDirectory(prefix=PREFIX) as name:
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield Path(name)
        finally:
            os.close(descriptor)


def remove_left_behind() -> int:
    """Remove the directories of processes that were killed; gives their number."""
    found = [path for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*") if _ours(path)]
    return sum(_remove_unless_held(path) for path in found)


def _ours(path: Path) -> bool:
    """Whether this user made it, as a directory and some time ago."""
    try:
        found = path.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and time.time() - found.st_mtime > YOUNG_SECONDS


def _remove_unless_held(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(path, ignore_errors=True)
    except BlockingIOError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
