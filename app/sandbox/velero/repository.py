"""Where the emulated node-agent keeps the files of volumes: each content once, found by its digest, so that a second
backup stores only what is new. Not kopia's format, and not encrypted; only its place in the bucket is the same.
"""

import asyncio
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from app.sandbox.velero.bucket import Bucket


@dataclass(frozen=True)
class Snapshot:
    """A saved directory; ``new_bytes`` of its ``bytes`` were not in the repository before."""

    id: str
    bytes: int
    new_bytes: int


class Repository:
    """The volumes of one namespace."""

    def __init__(self, bucket: Bucket, namespace: str) -> None:
        self._bucket = bucket
        self._prefix = f"kopia/{namespace}/sandbox"

    async def save(self, directory: Path) -> Snapshot:
        """Every regular file below a directory, with its mode."""
        files, total, new = [], 0, 0
        for path in sorted(directory.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            content = await asyncio.to_thread(path.read_bytes)
            digest = hashlib.sha256(content).hexdigest()
            total += len(content)
            if not await self._bucket.exists(f"{self._prefix}-p{digest}"):
                await self._bucket.put(f"{self._prefix}-p{digest}", content)
                new += len(content)
            files.append([str(path.relative_to(directory)), path.stat().st_mode & 0o777, digest])
        listed = json.dumps(files).encode()
        snapshot = hashlib.sha256(listed).hexdigest()[:32]
        await self._bucket.put(f"{self._prefix}-s{snapshot}", listed)
        return Snapshot(snapshot, total, new)

    async def restore(self, snapshot: str, directory: Path) -> int:
        """Write the files of a snapshot; gives their bytes. Raises ``StoreError``."""
        total = 0
        for name, mode, digest in json.loads(await self._bucket.get(f"{self._prefix}-s{snapshot}")):
            content = await self._bucket.get(f"{self._prefix}-p{digest}")
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            await asyncio.to_thread(path.write_bytes, content)
            path.chmod(mode)
            total += len(content)
        return total
