"""Are the bytes on the host's disk? A canary says so: random bytes put through S3 and looked for in the files."""

import asyncio
import secrets
import time
from pathlib import Path

from app.proof.models import CanaryResult
from app.storage.s3 import S3Store

CANARY_BYTES = 64
SEARCH_SECONDS = 5.0
#: Stores that append to volume files are searched from the end; a canary just put stands there.
TAIL_BYTES = 4 * 1024 * 1024


async def prove_bytes_on_host(store: S3Store, directory: Path) -> CanaryResult:
    """Put a canary into the bucket's root, find it below ``directory``, and delete it whatever happens.

    A loose object in the root is tolerated by Velero's layout check. MinIO keeps it as ``<bucket>/<key>/xl.meta``;
    for other stores the files changed since are searched.
    """
    key = f"kecs-state-canary-{secrets.token_hex(8)}"
    content = secrets.token_bytes(CANARY_BYTES)
    since = time.time() - 2  # file systems keep coarse times
    await store.put(key, content)
    try:
        deadline = asyncio.get_running_loop().time() + SEARCH_SECONDS
        while True:
            found = await asyncio.to_thread(_find, directory, store.bucket, key, content, since)
            if found is not None:
                return CanaryResult(status="found", path=str(found.relative_to(directory)))
            if asyncio.get_running_loop().time() > deadline:
                return CanaryResult(status="not-found")
            await asyncio.sleep(0.1)
    finally:
        await asyncio.shield(store.delete([key]))


def _find(directory: Path, bucket: str, key: str, content: bytes, since: float) -> Path | None:
    own = directory / bucket / key / "xl.meta"
    if own.is_file() and content in own.read_bytes():
        return own
    for path in directory.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_mtime >= since and _holds(path, content):
            return path
    return None


def _holds(path: Path, content: bytes) -> bool:
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - TAIL_BYTES))
        return content in file.read()
