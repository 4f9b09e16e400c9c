"""Copies of KECS's own store: ``<instance>/state-copies/<time>/``, hashed, whole or not there at all, the newest kept.

A copy mirrors the instance's ``data`` and has its list in ``copy.json``, written last and before the folder gets its
name. Everything here blocks and may take minutes: it is run in a thread and asks ``go_on`` after every chunk.
"""

import contextlib
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from pydantic import BaseModel, Field, ValidationError

from app.errors import InsufficientStorage
from app.host.files import (
    HostDirectoryError,
    create_plain,
    explained,
    free_bytes,
    is_directory,
    open_plain,
    sync_directory,
)
from app.host.instance_directory import InstanceDirectory
from app.host.kecs_store import (
    DUCKDB_LOG,
    GENERATIONS,
    Generation,
    StoreFile,
    is_present,
    list_store,
    store_at_rest,
    store_root,
    store_trouble,
)

FOLDER, LIST_FILE = "state-copies", "copy.json"
CHUNK_BYTES = 1024 * 1024
#: Left free on the disk beside a copy.
MARGIN_BYTES = 64 * 1024 * 1024

GoOn = Callable[[], None]
"""Called after every chunk; raises to end the work."""


class CopiedFile(BaseModel):
    """One file of a copy and what its original was."""

    path: str
    size: int
    mtime_ns: int
    mode: int
    owner: tuple[int, int]
    sha256: str


class StateCopy(BaseModel):
    """``copy.json``: what a copy holds."""

    name: str
    taken_at: datetime
    generations: list[Generation]
    files: list[CopiedFile]
    directories: list[str]


class PutBack(BaseModel):
    """A store that was put back from a copy."""

    generation: Generation
    copied_at: datetime
    reason: str
    kept_aside: list[str] = Field(description="Where the broken original lies now.")


def list_copies(directory: InstanceDirectory) -> list[StateCopy]:
    """Every whole copy, newest first; what has no readable list is none."""
    folder = directory.path / FOLDER
    if not directory.exists() or not is_directory(folder, below=directory.path):
        return []
    copies = []
    for path in folder.iterdir():
        with contextlib.suppress(ValidationError, HostDirectoryError):
            content = None if path.name.startswith(".") else directory.read(path / LIST_FILE)
            copies += [StateCopy.model_validate_json(content)] if content is not None else []
    return sorted(copies, key=lambda copy: copy.name, reverse=True)


def take_copy(directory: InstanceDirectory, *, keep: int, go_on: GoOn) -> StateCopy | None:
    """Copy every store that looks sound, and drop copies that are one too many; None where there is no store.

    A store that is as the newest copy has it is not copied again. Raises ``InsufficientStorage``, ``StateStoreInUse``
    and ``HostDirectoryError``; then no part of a copy is left.
    """
    with explained(directory.path / FOLDER):
        generations = [one for one in GENERATIONS if not store_trouble(directory, one)]
        if not generations:
            return None
        copies = list_copies(directory)
        if copies and _is_as_copied(directory, generations, copies[0]):
            return copies[0]
        taken = _write_copy(directory, generations, go_on)
        _drop_old(directory, [taken, *copies], keep)
        return taken


def put_back(directory: InstanceDirectory, go_on: GoOn) -> list[PutBack]:
    """Put back from its newest copy every store that is broken, or missing while there is no other; sound ones stay.

    The copy is checked before anything is touched, and a broken original is moved aside, never removed.
    """
    with explained(directory.data):
        lost = list_lost_stores(directory)
        return [_put_back(directory, generation, copy, trouble, go_on) for generation, copy, trouble in lost]


def list_lost_stores(directory: InstanceDirectory) -> list[tuple[Generation, StateCopy, str]]:
    """Stores that are broken, or missing while there is no other, each with its newest copy and what is wrong."""
    copies, lost = list_copies(directory), []
    for generation in GENERATIONS:
        trouble = store_trouble(directory, generation)
        # One that is missing beside the other generation's was left behind by a change of KECS's version.
        replaced = trouble == "missing" and any(is_present(directory, one) for one in GENERATIONS)
        copy = next((one for one in copies if generation in one.generations), None)
        if trouble and not replaced and copy is not None:
            lost.append((generation, copy, trouble))
    return lost


def unfold_duckdb(directory: InstanceDirectory, copy: StateCopy | None, scratch: Path, go_on: GoOn) -> None:
    """DuckDB's files into a scratch directory, for reading: those of a copy, or of a cluster that is off."""
    with explained(scratch):
        if copy is not None:
            paths = [file.path for file in copy.files if not file.path.startswith(store_root("postgres"))]
            _unfold(directory, copy_path(directory, copy), paths, scratch, go_on)
            return
        with store_at_rest(directory, "duckdb"):
            files, _ = list_store(directory, "duckdb")
            _require_space(scratch, sum(file.size for file in files))
            _unfold(directory, directory.data, [file.path for file in files], scratch, go_on)


def _unfold(directory: InstanceDirectory, source: Path, paths: list[str], scratch: Path, go_on: GoOn) -> None:
    for path in paths:
        with open_plain(source / path, below=directory.path) as file:
            _write(file, scratch / path, scratch, go_on)


def copy_path(directory: InstanceDirectory, copy: StateCopy) -> Path:
    """Where a copy lies."""
    return directory.path / FOLDER / copy.name


def _write_copy(directory: InstanceDirectory, generations: list[Generation], go_on: GoOn) -> StateCopy:
    taken_at = datetime.now(UTC)
    name = taken_at.strftime("%Y%m%dT%H%M%S%fZ")
    parent = directory.path / FOLDER
    directory.make(parent)
    for left in parent.glob(".*"):  # of an attempt that was killed
        shutil.rmtree(left)
    scratch = parent / f".{name}.{secrets.token_hex(4)}"
    copy = StateCopy(name=name, taken_at=taken_at, generations=generations, files=[], directories=[])
    try:
        directory.make(scratch)
        for generation in generations:
            with store_at_rest(directory, generation):
                files, folders = list_store(directory, generation)
                _require_space(parent, sum(file.size for file in files))
                copy.directories += folders
                for folder in folders:
                    directory.make(scratch / folder)
                copy.files += [_copy_file(directory, scratch, file, go_on) for file in files]
        directory.write(scratch / LIST_FILE, copy.model_dump_json(indent=1).encode())
        scratch.rename(parent / name)
    except BaseException:
        shutil.rmtree(scratch, ignore_errors=True)
        raise
    sync_directory(parent)
    return copy


def _copy_file(directory: InstanceDirectory, scratch: Path, file: StoreFile, go_on: GoOn) -> CopiedFile:
    with open_plain(directory.data / file.path, below=directory.path) as source:
        size, sha256 = _write(source, scratch / file.path, directory.path, go_on)
    return CopiedFile(
        path=file.path, size=size, mtime_ns=file.mtime_ns, mode=file.mode, owner=file.owner, sha256=sha256
    )


def _write(source: BinaryIO, target: Path, below: Path, go_on: GoOn) -> tuple[int, str]:
    """Bytes of ``source`` into a new file; gives their number and sha256."""
    digest, size = hashlib.sha256(), 0
    with create_plain(target, below=below) as file:
        while chunk := source.read(CHUNK_BYTES):
            digest.update(chunk)
            file.write(chunk)
            size += len(chunk)
            go_on()
    return size, digest.hexdigest()


def _is_as_copied(directory: InstanceDirectory, generations: list[Generation], copy: StateCopy) -> bool:
    """Whether the stores still have the files, sizes and times that the copy was made of."""
    if copy.generations != generations:
        return False
    live = {file.path: (file.size, file.mtime_ns) for one in generations for file in list_store(directory, one)[0]}
    return live == {file.path: (file.size, file.mtime_ns) for file in copy.files}


def _drop_old(directory: InstanceDirectory, copies: list[StateCopy], keep: int) -> None:
    """Keep the newest, and of each generation at least the newest that holds it."""
    kept = {copy.name for copy in copies[:keep]}
    for generation in GENERATIONS:
        kept |= {copy.name for copy in [one for one in copies if generation in one.generations][:1]}
    for copy in copies:
        if copy.name not in kept:
            shutil.rmtree(copy_path(directory, copy))


def _put_back(
    directory: InstanceDirectory, generation: Generation, copy: StateCopy, trouble: str, go_on: GoOn
) -> PutBack:
    root = store_root(generation)
    files = [file for file in copy.files if file.path.startswith(root)]
    _refuse_strange_owner(generation, files)
    directory.make((directory.data / root).parent)
    _require_space(directory.data, sum(file.size for file in files))
    scratch = directory.data / f".put-back.{secrets.token_hex(4)}"
    try:
        directory.make(scratch)
        for folder in (one for one in copy.directories if one.startswith(root)):
            directory.make(scratch / folder)
        for file in files:
            directory.make((scratch / file.path).parent)
            _write_checked(directory, copy, file, scratch, go_on)
        aside = _move_aside(directory, generation)
        for name in _roots(files, root):
            (scratch / name).rename(directory.data / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    sync_directory((directory.data / root).parent)
    return PutBack(generation=generation, copied_at=copy.taken_at, reason=trouble, kept_aside=aside)


def _write_checked(directory: InstanceDirectory, copy: StateCopy, file: CopiedFile, scratch: Path, go_on: GoOn) -> None:
    """One file of the copy with its original's mode and, where we may, owner; raises if its bytes have changed."""
    if ".." in PurePosixPath(file.path).parts:
        raise HostDirectoryError(f"{file.path!r} in the copy {copy.name} leads out of it")
    kept, target = copy_path(directory, copy) / file.path, scratch / file.path
    with open_plain(kept, below=directory.path) as source:
        _, sha256 = _write(source, target, directory.path, go_on)
    if sha256 != file.sha256:
        raise HostDirectoryError(
            f"{kept} is not what was copied: its sha256 differs",
            remedy=f"Remove {kept.parent}; the next older copy is used then.",
            path=str(kept),
        )
    target.chmod(file.mode)
    if os.geteuid() == 0:
        os.chown(target, *file.owner)


def _refuse_strange_owner(generation: Generation, files: Iterable[CopiedFile]) -> None:
    """A Postgres server refuses files of another user than its own; root in a container opens everything."""
    owners = {file.owner[0] for file in files}
    if generation == "postgres" and os.geteuid() != 0 and not owners <= {os.geteuid()}:
        raise HostDirectoryError(
            f"the copied Postgres data belongs to user id {', '.join(map(str, sorted(owners)))}, "
            "and only root can make files of another user",
            remedy="Run the service as root for this start, or put the copy back by hand with `sudo cp -a`.",
        )


def _roots(files: Iterable[CopiedFile], root: str) -> list[str]:
    """What is renamed into place: the data directory whole, or the file with its log, the log first."""
    return [root] if root == store_root("postgres") else sorted((file.path for file in files), reverse=True)


def _move_aside(directory: InstanceDirectory, generation: Generation) -> list[str]:
    """Rename what lies in the place of the store, its write-ahead log too: it belongs to nothing else."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    names = [store_root(generation)] + [DUCKDB_LOG] * (generation == "duckdb")
    moved = []
    for name in names:
        original = directory.data / name
        if os.path.lexists(original):
            aside = original.with_name(f"{original.name}.broken-{stamp}-{secrets.token_hex(2)}")
            original.rename(aside)
            moved.append(str(aside))
    return moved


def _require_space(path: Path, needed: int) -> None:
    free = free_bytes(path)
    if free < needed + MARGIN_BYTES:
        raise InsufficientStorage(
            f"{path} has {free:,} bytes free; the copy of KECS's store needs {needed + MARGIN_BYTES:,}",
            remedy="Free space on that disk.",
            free_bytes=free,
            needed_bytes=needed + MARGIN_BYTES,
        )
