"""Are the bytes on the host's disk? A canary says so: random bytes put through S3 and looked for in the files.

A store that encrypts whatever it is given leaves nothing of the content to be found. But it keeps an object's
metadata in clear, in the same file as the content where that is small; so the canary carries a second random mark
there, and which of the two is found says whether the store encrypts.
"""

import asyncio
import logging
import os
import secrets
import stat
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from app.errors import ServiceError
from app.proof.models import CanaryResult
from app.storage.s3 import S3Store

#: One key for all: what a killed process left is overwritten by the next canary. Only the content is random.
CANARY_KEY = "kecs-state-canary"
CANARY_BYTES = 64
MARK = "kecs-state-mark"
SEARCH_SECONDS = 5.0
PAUSE_SECONDS = 0.1
#: File systems keep coarse times.
CLOCK_SECONDS = 2.0
#: Stores that append to volume files are searched from the end; a canary just put stands there.
TAIL_BYTES = 4 * 1024 * 1024
log = logging.getLogger(__name__)


async def prove_bytes_on_host(
    store: S3Store, directory: Path, *, search_seconds: float = SEARCH_SECONDS
) -> CanaryResult:
    """Put a canary into the bucket's root, find it below ``directory``, and delete it whatever happens.

    A loose object in the root is tolerated by Velero's layout check. MinIO keeps it as ``<bucket>/<key>/xl.meta``;
    for other stores the files changed since are searched. The answer is ``encrypted`` when only the mark stands there.
    """
    search = _Search(directory, store.bucket, secrets.token_bytes(CANARY_BYTES))
    try:
        await store.put(CANARY_KEY, search.content, {MARK: search.mark.decode()})
        deadline = asyncio.get_running_loop().time() + search_seconds
        while True:
            found = await asyncio.to_thread(search.run)
            if found.status == "found" or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(PAUSE_SECONDS)
    finally:
        await asyncio.shield(_remove(store))


async def _remove(store: S3Store) -> None:
    """A canary that stays is harmless and goes with the next one, so that is no reason to fail."""
    try:
        await store.delete([CANARY_KEY])
    except ServiceError as error:
        log.warning("a canary stays in the bucket: %s", error.detail, extra={"action": "remove-canary"})


class _Search:
    """Looks for one canary below a directory; follows no links, which may lead off the disk in question."""

    def __init__(self, directory: Path, bucket: str, content: bytes) -> None:
        self._directory = directory
        self._own_file = directory / bucket / CANARY_KEY / "xl.meta"
        self.content = content
        self.mark = secrets.token_hex(CANARY_BYTES).encode()
        self._since = time.time() - CLOCK_SECONDS

    def run(self) -> CanaryResult:
        """One pass; blocks, so run it in a thread."""
        hindrance = ""
        for path in chain([self._own_file], self._changed_files()):
            try:
                tail, own = self._tail(path), path == self._own_file
                if self.content in tail or (own and self.mark in tail):
                    return CanaryResult(
                        status="found",
                        path=str(path.relative_to(self._directory)),
                        how="object file" if own else "volume file",
                        encrypted=self.content not in tail,
                    )
            except PermissionError:
                hindrance = "not every file there may be read"
        return CanaryResult(status="not-found", how=hindrance)

    def _changed_files(self) -> Iterator[Path]:
        for folder, _, names in os.walk(self._directory):
            for name in names:
                path = Path(folder) / name
                try:
                    if path.lstat().st_mtime >= self._since:
                        yield path
                except OSError:
                    continue  # gone again: the store is at work

    def _tail(self, path: Path) -> bytes:
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except PermissionError:
            raise
        except OSError:
            return b""  # gone again, a link, or a socket
        with os.fdopen(descriptor, "rb") as file:
            inside = path.resolve().is_relative_to(self._directory.resolve())
            if not inside or not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return b""
            file.seek(max(0, os.fstat(descriptor).st_size - TAIL_BYTES))
            return file.read(2 * TAIL_BYTES)
