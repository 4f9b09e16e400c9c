"""A backup's objects in the bucket, downloaded once: sized, hashed, and read as documents."""

import asyncio
import gzip
import zlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.concurrency import side_by_side
from app.documents import MOST_UNPACKED_BYTES, read_json
from app.proof.models import Finding, StoredDigest
from app.storage import layout
from app.storage.errors import ObjectDamaged, ObjectNotFound
from app.storage.s3 import S3Store, StoredObject

DOWNLOADS_AT_ONCE = 2
#: Objects up to this size are kept on the host beside the proof; the archive itself is not.
SMALL_BYTES = 4 * 1024 * 1024


@dataclass
class StoredBackup:
    """Files by key, and what was wrong while they came."""

    name: str
    digests: list[StoredDigest] = field(default_factory=list)
    files: dict[str, Path] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    read: set[str] = field(default_factory=set)
    """Keys of what was read to its end already."""

    def document(self, key: str) -> Any:
        """A gzipped JSON object, or None with a finding when it is missing or cannot be read."""
        path = self.files.get(key)
        self.read.add(key)
        if path is None:
            self.findings.append(Finding(code="missing", detail=f"{key} is not in the bucket"))
            return None
        try:
            with gzip.open(path) as stream:
                return read_json(stream.read(MOST_UNPACKED_BYTES))  # what is cut here is no JSON any more
        except (OSError, EOFError, ValueError, zlib.error):
            self.findings.append(Finding(code="contents", detail=f"{key} is not gzipped JSON"))
            return None

    def small_objects(self) -> dict[str, bytes]:
        """What is worth keeping on the host, by file name: everything small but the archive."""
        prefix = layout.backup_prefix(self.name)
        return {
            key.removeprefix(prefix): path.read_bytes()
            for key, path in self.files.items()
            if key != layout.contents_key(self.name) and path.stat().st_size <= SMALL_BYTES and is_plain(key, prefix)
        }


def is_plain(key: str, prefix: str) -> bool:
    """Whether an object lies right below the prefix under a name that may become a file's."""
    name = key.removeprefix(prefix)
    return bool(name) and "/" not in name and not name.startswith(".")


#: Told how many bytes of how many are here.
OnBytes = Callable[[int, int], Awaitable[None]]


async def download_backup(name: str, store: S3Store, scratch: Path, on_bytes: OnBytes | None = None) -> StoredBackup:
    """Every object below the backup's prefix; one that cannot be had whole becomes a finding."""
    backup = StoredBackup(name)
    gate = asyncio.Semaphore(DOWNLOADS_AT_ONCE)
    done = 0

    async def count(size: int) -> None:
        nonlocal done
        done += size
        if on_bytes is not None:
            await on_bytes(done, total)

    async def download(number: int, stored: StoredObject) -> None:
        path = scratch / str(number)  # keys are the bucket's words, not fit for paths
        async with gate:
            try:
                found = await store.download(stored.key, path, count)
            except (ObjectDamaged, ObjectNotFound) as error:
                backup.findings.append(Finding(code="contents", detail=error.detail))
                return
        if found.size != stored.size:
            detail = f"{stored.key} has {found.size} bytes, its listing says {stored.size}"
            backup.findings.append(Finding(code="contents", detail=detail))
        backup.files[stored.key] = path
        backup.digests.append(StoredDigest(key=stored.key, size=found.size, sha256=found.sha256))

    listed = await store.list_objects(layout.backup_prefix(name))
    total = sum(stored.size for stored in listed)
    await side_by_side(*(download(number, stored) for number, stored in enumerate(listed)))
    backup.digests.sort(key=lambda digest: digest.key)
    return backup
