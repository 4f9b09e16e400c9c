"""KECS's own store of an instance on the host: DuckDB up to v0.0.1-beta.5, Postgres in a sidecar from beta.6 on.

Source: KECS at e77e851 (``data/kecs.db``) and at 02bca9b (``data/postgres/pgdata``). KECS writes both; here they are
looked at from outside, by their headers, so that nothing but the system is needed for it.
"""

import fcntl
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from app.errors import ServiceError
from app.host.files import HostDirectoryError, is_directory, open_plain
from app.host.instance_directory import InstanceDirectory

Generation = Literal["duckdb", "postgres"]
#: Newest first: where both are present, KECS of beta.6 or later uses Postgres and leaves the older file alone.
GENERATIONS: tuple[Generation, ...] = ("postgres", "duckdb")
DUCKDB_FILE, DUCKDB_LOG, PGDATA = "kecs.db", "kecs.db.wal", "postgres/pgdata"
#: A DuckDB file begins with three header blocks of 4,096 bytes; its magic stands behind a checksum of eight.
DUCKDB_HEADER_BYTES, DUCKDB_MAGIC, DUCKDB_MAGIC_AT = 3 * 4096, b"DUCK", 8
#: What a Postgres server does not start without.
PGDATA_NEEDS = ("PG_VERSION", "global/pg_control")


class StateStoreInUse(ServiceError):
    """Somebody writes the store at this moment, so that a copy of it would be torn."""

    code, status, title = "state-store-in-use", 409, "KECS's own store is in use"


@dataclass(frozen=True)
class StoreFile:
    """One file of a store, with what a copy must give back; ``path`` is relative to the instance's ``data``."""

    path: str
    size: int
    mtime_ns: int
    mode: int
    owner: tuple[int, int]


def store_root(generation: Generation) -> str:
    """What a store is on the host, relative to ``data``."""
    return DUCKDB_FILE if generation == "duckdb" else PGDATA


def store_trouble(directory: InstanceDirectory, generation: Generation) -> str:
    """ "" for a store that KECS could open by the look of it, "missing", or what is wrong with it."""
    if not is_present(directory, generation):
        return "missing"
    return _duckdb_trouble(directory) if generation == "duckdb" else _postgres_trouble(directory)


def is_present(directory: InstanceDirectory, generation: Generation) -> bool:
    """Whether anything at all lies where the store belongs, be it only a link."""
    return os.path.lexists(directory.data / store_root(generation))


def generations_present(directory: InstanceDirectory) -> list[Generation]:
    """The stores that lie there, sound or not, the one that KECS uses first."""
    return [generation for generation in GENERATIONS if is_present(directory, generation)]


def list_store(directory: InstanceDirectory, generation: Generation) -> tuple[list[StoreFile], list[str]]:
    """Files and directories of a store that is there; a link in it is refused."""
    if generation == "duckdb":
        names = [name for name in (DUCKDB_FILE, DUCKDB_LOG) if os.path.lexists(directory.data / name)]
        return [_store_file(directory, directory.data / name) for name in names], []
    files, folders = [], []
    root = directory.data / PGDATA
    is_directory(root, below=directory.path)
    for folder, names, file_names in os.walk(root, onerror=_refuse):
        folders.append(str(Path(folder).relative_to(directory.data)))
        files += [_store_file(directory, Path(folder) / name) for name in file_names if name != "postmaster.pid"]
        for name in names:
            if (Path(folder) / name).is_symlink():
                raise _link_refused(Path(folder) / name)
    return files, folders


@contextmanager
def store_at_rest(directory: InstanceDirectory, generation: Generation) -> Iterator[None]:
    """Hold the lock that keeps DuckDB from writing; raises ``StateStoreInUse`` where somebody has it open.

    DuckDB holds a POSIX lock on the file while it may write. Postgres has no such lock: its cluster must be off.
    """
    if generation == "postgres":
        yield
        return
    path = directory.data / DUCKDB_FILE
    with open_plain(path, below=directory.path) as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StateStoreInUse(
                f"{path} is open in another process",
                remedy="Stop the instance, or close the program that has it open, then try again.",
                path=str(path),
            ) from None
        yield


def _duckdb_trouble(directory: InstanceDirectory) -> str:
    try:
        with open_plain(directory.data / DUCKDB_FILE, below=directory.path) as file:
            header = file.read(DUCKDB_HEADER_BYTES)
    except (OSError, HostDirectoryError) as error:
        return f"it cannot be read: {error}"
    return header_trouble(header)


def header_trouble(header: bytes) -> str:
    """What is wrong with a DuckDB file by its first blocks, or ""."""
    if not header:
        return "it is empty"
    if header[DUCKDB_MAGIC_AT : DUCKDB_MAGIC_AT + len(DUCKDB_MAGIC)] != DUCKDB_MAGIC:
        return "it is no DuckDB file"
    return "" if len(header) == DUCKDB_HEADER_BYTES else "it is cut off"


def _postgres_trouble(directory: InstanceDirectory) -> str:
    for name in PGDATA_NEEDS:
        try:
            with open_plain(directory.data / PGDATA / name, below=directory.path) as file:
                if not file.read(1):
                    return f"its {name} is empty"
        except FileNotFoundError:
            return f"its {name} is missing"
        except (OSError, HostDirectoryError) as error:
            return f"its {name} cannot be read: {error}"
    return ""


def _store_file(directory: InstanceDirectory, path: Path) -> StoreFile:
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode):
        raise _link_refused(path)
    return StoreFile(
        path=str(path.relative_to(directory.data)),
        size=status.st_size,
        mtime_ns=status.st_mtime_ns,
        mode=stat.S_IMODE(status.st_mode),
        owner=(status.st_uid, status.st_gid),
    )


def _link_refused(path: Path) -> HostDirectoryError:
    return HostDirectoryError(
        f"{path} is a link or no plain file, so KECS's store is not copied",
        remedy="Keep the store in plain files below the instance's directory.",
        path=str(path),
    )


def _refuse(error: OSError) -> None:
    raise error
