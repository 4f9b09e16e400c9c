"""Reading a backup's tarball to its last byte, with bounded memory.

Layout (velero pkg/archive/parser.go): ``metadata/version`` and ``resources/<resource>/{cluster|namespaces/<ns>}/
<name>.json``; the same objects stand once more below ``<version>-preferredversion``.
"""

import gzip
import hashlib
import json
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

from app.errors import ServiceError
from app.proof.models import ObjectKey

MOST_OBJECT_BYTES = 64 * 1024 * 1024
MOST_TOTAL_BYTES = 16 * 1024**3
#: Text shrinks by 20 or 30; a tarball that unfolds a thousandfold is a bomb.
MOST_RATIO = 1000
SUPPORTED_MAJOR = "1."
CHUNK_BYTES = 1024 * 1024


class ArchiveDamaged(ServiceError):
    """The tarball cannot be read to its end, or does not hold what its names say."""

    code, status, title = "archive-damaged", 502, "The backup's archive is damaged"


@dataclass(frozen=True)
class ArchivedObject:
    """One object as the archive has it."""

    uid: str
    resource_version: str
    digest: str
    controller: str
    """UID of its controlling owner, "" if it has none."""
    not_restorable: str
    """Why no restore brings it back, "" if one does."""


@dataclass
class Archive:
    """The index of a tarball that was read whole."""

    items: dict[ObjectKey, ArchivedObject] = field(default_factory=dict)
    format_version: str = ""

    def has_controller_of(self, item: ArchivedObject) -> bool:
        """Whether the archive also holds the object's controller, which will make it anew."""
        return bool(item.controller) and item.controller in self._uids

    @property
    def _uids(self) -> set[str]:
        if not hasattr(self, "_uid_cache"):
            self._uid_cache = {item.uid for item in self.items.values()}
        return self._uid_cache


def read_archive(path: Path) -> Archive:
    """Read everything, check everything, keep an index; blocks, so run it in a thread.

    Raises ``ArchiveDamaged`` for a broken gzip stream or checksum, a tar without its end, unreadable JSON, an
    object that is not the one its path names, or an unknown format version.
    """
    archive = Archive()
    for member, content in _members(path):
        if member == "metadata/version":
            archive.format_version = content.decode(errors="replace").strip()
            continue
        parsed = _key_of(member)
        if parsed is None:
            continue
        key, preferred = parsed
        found = _object(member, key, content)
        if not preferred:
            archive.items[key] = _archived(found, content)
    if not archive.format_version.startswith(SUPPORTED_MAJOR):
        raise ArchiveDamaged(f"the archive has format version {archive.format_version!r}, not {SUPPORTED_MAJOR}x")
    return archive


def load_objects(path: Path, wanted: Callable[[ObjectKey], bool]) -> Iterator[tuple[ObjectKey, dict[str, Any]]]:
    """The objects themselves, one at a time, of the keys that are wanted."""
    for member, content in _members(path):
        parsed = _key_of(member)
        if parsed is not None and not parsed[1] and wanted(parsed[0]):
            yield parsed[0], _object(member, parsed[0], content)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the tarball; the stream is read to its end even after the tar's own end."""
    compressed = path.stat().st_size
    total = 0
    try:
        with gzip.open(path) as stream:
            counting = _Tail(stream)
            with tarfile.open(fileobj=cast("IO[bytes]", counting), mode="r|", errorlevel=2) as tar:
                for member in tar:
                    if not member.isfile():
                        continue
                    total += member.size
                    if member.size > MOST_OBJECT_BYTES or total > MOST_TOTAL_BYTES or total > MOST_RATIO * compressed:
                        raise ArchiveDamaged(f"{member.name} makes the archive unreasonably large")
                    file = tar.extractfile(member)
                    content = file.read() if file is not None else b""
                    if len(content) != member.size:
                        raise ArchiveDamaged(f"{member.name} is cut short")
                    yield member.name, content
            counting.drain()
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise ArchiveDamaged(f"the archive cannot be read to its end: {error}") from error


class _Tail:
    """Remembers the last bytes read: a whole tar ends with 1,024 zeros."""

    def __init__(self, stream: gzip.GzipFile) -> None:
        self._stream = stream
        self._last = b""

    def read(self, size: int = -1) -> bytes:
        """Read through."""
        content = self._stream.read(size)
        self._last = (self._last + content)[-1024:]
        return content

    def drain(self) -> None:
        """Read to the end of the gzip stream, whose checksum stands there, and look for the tar's end mark."""
        while self.read(CHUNK_BYTES):
            pass
        if self._last != bytes(1024):
            raise ArchiveDamaged("the archive has no end mark: it was cut off, or something was added to it")


def _key_of(member: str) -> tuple[ObjectKey, bool] | None:
    """The key a path names, and whether it is the copy in the preferred version; None for other files."""
    parts = member.split("/")
    if parts[0] != "resources" or not member.endswith(".json") or len(parts) < 4:
        return None
    resource, rest = parts[1], parts[2:]
    preferred = rest[0].endswith("-preferredversion")
    if preferred:
        rest = rest[1:]
    name = rest[-1].removesuffix(".json")
    if rest[0] == "cluster" and len(rest) == 2:
        return ObjectKey(resource=resource, namespace="", name=name), preferred
    if rest[0] == "namespaces" and len(rest) == 3:
        return ObjectKey(resource=resource, namespace=rest[1], name=name), preferred
    raise ArchiveDamaged(f"{member} is not where a backup keeps objects")


def _object(member: str, key: ObjectKey, content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
        metadata = found["metadata"]
        named = (metadata.get("namespace", ""), metadata["name"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ArchiveDamaged(f"{member} is not a Kubernetes object") from None
    if named != (key.namespace, key.name):
        raise ArchiveDamaged(f"{member} holds another object: {'/'.join(named)}")
    result: dict[str, Any] = found
    return result


def _archived(found: dict[str, Any], content: bytes) -> ArchivedObject:
    metadata = found["metadata"]
    owners = metadata.get("ownerReferences") or []
    return ArchivedObject(
        uid=str(metadata.get("uid", "")),
        resource_version=str(metadata.get("resourceVersion", "")),
        digest=hashlib.sha256(content).hexdigest(),
        controller=next((owner["uid"] for owner in owners if owner.get("controller")), ""),
        not_restorable=why_not_restorable(found),
    )


def why_not_restorable(found: dict[str, Any]) -> str:
    """Why Velero brings an object back under no circumstances, "" if it does (velero.io/docs, restore reference)."""
    status, spec = found.get("status") or {}, found.get("spec") or {}
    kind = found.get("kind")
    ended = kind == "Pod" and status.get("phase") in {"Succeeded", "Failed"}
    if ended or (kind == "Job" and status.get("completionTime")):
        return "it has finished"
    if kind == "PersistentVolume" and spec.get("persistentVolumeReclaimPolicy") == "Delete":
        return "its claim gets a new volume, without the data"
    return ""
