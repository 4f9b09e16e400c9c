"""Reading a backup's tarball to its last byte, with bounded memory.

Layout (velero pkg/archive/parser.go): ``metadata/version`` and ``resources/<resource>/{cluster|namespaces/<ns>}/
<name>.json``; the same bytes stand once more below ``<version>-preferredversion``.
"""

import hashlib
import re
import tarfile
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from io import BufferedReader, RawIOBase
from pathlib import Path
from typing import IO, Any, Self, cast

from app.documents import read_json
from app.errors import ServiceError
from app.proof.models import ObjectKey

MOST_OBJECT_BYTES = 64 * 1024 * 1024
MOST_TOTAL_BYTES = 16 * 1024**3
#: Text shrinks by 20 or 30, tar headers by more; what unfolds more than this (gzip's most is 1,032) is a bomb.
MOST_RATIO = 500
SUPPORTED_MAJOR = "1."
#: The format before objects had copies by version (Velero 1.3).
WITHOUT_COPIES = "1.0"
PREFERRED = "-preferredversion"
#: Where Velero says of which format the archive is.
METADATA = "metadata/"
CHUNK_BYTES = 1024 * 1024
#: Read at once of what is packed, and unpacked at once.
PACKED_BYTES, PIECE_BYTES = 64 * 1024, 256 * 1024
#: A tar ends with two blocks of zeros, and may be padded with more.
TAR_END_BYTES = 1024
#: Where an object stands; in a directory of one version, ``v1-preferredversion`` or (by a feature of Velero)
#: ``v1beta1``, it is a copy.
_PLACE = re.compile(
    r"resources/(?P<resource>[^/]+)/(?:(?P<version>v\d+(?:(?:alpha|beta)\d+)?(?:-preferredversion)?)/)?"
    r"(?:cluster|namespaces/(?P<namespace>[^/]+))/(?P<name>[^/]+)\.json"
)
#: The header of a plain file as Go and Python write it: every number in octal digits.
_PLAIN_HEADER = re.compile(
    rb"""(?P<name>.{100})
    (?:[0-7]{7}\0){3}  # mode and owners
    (?P<size>[0-7]{11})\0
    [0-7]{11}\0  # time
    (?P<checksum>[0-7]{6})\0[ ]
    0.{100}ustar.{3}  # a file, no link's target, the format
    .{64}(?:[0-7]{7}\0|\0{8}){2}  # owners' names, device
    (?P<prefix>.{155}).{12}""",
    re.DOTALL | re.VERBOSE,
)


class ArchiveDamaged(ServiceError):
    """The tarball cannot be read to its end, or does not hold what its names say."""

    code, status, title = "archive-damaged", 502, "The backup's archive is damaged"


@dataclass(frozen=True)
class ArchivedObject:
    """One object as the archive has it."""

    uid: str
    resource_version: str
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
        return self.controller_of(item) is not None

    def controller_of(self, item: ArchivedObject) -> ObjectKey | None:
        """The object's controller, if the archive holds it too."""
        return self._keys.get(item.controller) if item.controller else None

    @cached_property
    def _keys(self) -> dict[str, ObjectKey]:
        return {item.uid: key for key, item in self.items.items()}


def read_archive(path: Path) -> Archive:
    """Read everything, check everything, keep an index; blocks, so run it in a thread.

    Raises ``ArchiveDamaged`` for a broken gzip stream or checksum, a tar without its end, unreadable JSON, an
    object that is not the one its path names, that is there once too often or whose copy is not the same, a file that
    no backup has, or an unknown format version.
    """
    archive = Archive()
    twins = _Twins()
    for member, content in _members(path):
        if member == "metadata/version":
            archive.format_version = content[:100].decode(errors="replace").strip()
        if member.startswith(METADATA):
            continue
        key, version = _key_of(member)
        copied = version.endswith(PREFERRED)
        if not copied:  # a copy is the same bytes, which the twins see to
            found = _object(member, key, content)
        if not version:
            archive.items[key] = _archived(member, found)
        if copied or not version:
            twins.add(member, key, content, copied=copied)
    if not archive.format_version.startswith(SUPPORTED_MAJOR):
        raise ArchiveDamaged(f"the archive has format version {archive.format_version!r}, not {SUPPORTED_MAJOR}x")
    twins.check(may_lack=archive.format_version.startswith(WITHOUT_COPIES))
    return archive


class _Twins:
    """Each object and its copy, by digest: one that was changed alone no longer equals the other."""

    def __init__(self) -> None:
        self._digests: tuple[dict[ObjectKey, bytes], dict[ObjectKey, bytes]] = ({}, {})

    def add(self, member: str, key: ObjectKey, content: bytes, *, copied: bool) -> None:
        """Note one; raises ``ArchiveDamaged`` when it is there already."""
        digests = self._digests[copied]
        if key in digests:
            raise ArchiveDamaged(f"{member[:200]} is in the archive twice")
        digests[key] = hashlib.sha256(content).digest()

    def check(self, *, may_lack: bool) -> None:
        """Raises ``ArchiveDamaged`` for the first object that differs from its copy, or has none."""
        plain, copies = self._digests
        if plain == copies or (may_lack and not copies):
            return
        key = next(key for key in plain.keys() | copies.keys() if plain.get(key) != copies.get(key))
        raise ArchiveDamaged(f"the archive holds {str(key)[:200]} in two forms, or without its copy")


def load_objects(path: Path, wanted: Callable[[ObjectKey], bool]) -> Iterator[tuple[ObjectKey, dict[str, Any]]]:
    """The objects themselves, one at a time, of the keys that are wanted."""
    for member, content in _members(path):
        if member.startswith(METADATA):
            continue
        key, version = _key_of(member)
        if not version and wanted(key):
            yield key, _object(member, key, content)


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of the tarball; the stream is read to its end even after the tar's own end."""
    unpacked = 0
    try:
        with path.open("rb") as packed, BufferedReader(_Unpacked(packed), PIECE_BYTES) as stream:
            watched = _WatchedStream(stream, compressed=path.stat().st_size)
            with tarfile.open(fileobj=cast("IO[bytes]", watched), mode="r:", tarinfo=_Header) as tar:
                for member in iter(tar.next, None):
                    tar.members = []  # type: ignore[attr-defined]  # it would remember every one
                    if not member.isfile():
                        continue
                    unpacked += member.size
                    if member.size > MOST_OBJECT_BYTES or unpacked > watched.limit:
                        raise ArchiveDamaged(f"{member.name[:200]} makes the archive unreasonably large")
                    content = _sparse(tar, member) if member.issparse() else watched.read(member.size)
                    if len(content) != member.size:
                        raise ArchiveDamaged(f"{member.name[:200]} is cut short")
                    yield member.name, content
                    watched.between_objects()
                watched.check_end(tar.offset)
    except (tarfile.TarError, EOFError, OSError, zlib.error, ValueError, RecursionError) as error:
        raise ArchiveDamaged(f"the archive cannot be read to its end: {error}") from error


def _sparse(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    """A file with holes, which no backup has and tarfile fills."""
    file = tar.extractfile(member)
    return file.read() if file is not None else b""


class _Header(tarfile.TarInfo):
    """The header of a member. What is plain, and nearly all is, gets a name and a size in a tenth of the time."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        """Read what is plain and unharmed; everything else is left to tarfile, to read or to refuse."""
        plain = _PLAIN_HEADER.fullmatch(buf)
        if plain is None or not buf.isascii() or int(plain["checksum"], 8) != _sum_of_ascii(buf):
            return super().frombuf(buf, encoding, errors)
        prefix, name = (plain[field].partition(b"\0")[0].decode() for field in ("prefix", "name"))
        header = cls(f"{prefix}/{name}" if prefix else name)
        header.size = int(plain["size"], 8)
        return header


def _sum_of_ascii(header: bytes | bytearray) -> int:
    """The sum a header is guarded by, its own field taken for spaces."""
    return sum(header[:148]) + sum(b" " * 8) + sum(header[156:])


class _Unpacked(RawIOBase):
    """What a gzip holds, all of its members one after the other; each piece is unpacked while the last one is read.

    Python's own reader goes by 8 KiB, in turn with whoever reads, and takes twice as long.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        self._packed = b""
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="unpacking")
        self._next = self._beside.submit(self._unpack)
        self._piece = memoryview(b"")

    def close(self) -> None:
        """No piece is unpacked afterwards."""
        self._beside.shutdown()
        super().close()

    def readable(self) -> bool:
        """It is for nothing else."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes, 0 at the end; raises ``zlib.error`` for damage and ``EOFError`` where the end is missing."""
        if not self._piece:
            self._piece = memoryview(self._next.result())
            self._next = self._beside.submit(self._unpack)
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size

    def _unpack(self) -> bytes:
        """The next piece, empty at the end."""
        while self._has_more():
            content = self._unpacker.decompress(self._packed, PIECE_BYTES)
            ended = self._unpacker.eof
            # Behind the end there may be padding of zeros, as tapes have it.
            self._packed = self._unpacker.unused_data.lstrip(b"\0") if ended else self._unpacker.unconsumed_tail
            if content:
                return content
        return b""

    def _has_more(self) -> bool:
        while not self._packed and (read := self._file.read(PACKED_BYTES)):
            self._packed = read.lstrip(b"\0") if self._unpacker.eof else read
        if not self._packed and not self._unpacker.eof:
            raise EOFError("it was cut off")
        if self._packed and self._unpacker.eof:
            self._unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        return bool(self._packed)


class _WatchedStream:
    """The unpacked stream as a file, counted, so that neither a bomb nor a missing or padded end goes unseen."""

    def __init__(self, stream: "BufferedReader[_Unpacked]", *, compressed: int) -> None:
        self._stream = stream
        self.limit = min(MOST_TOTAL_BYTES, max(MOST_RATIO * compressed, MOST_OBJECT_BYTES))
        self._read = 0
        self._read_before_object = 0
        self._last_content = 0
        """Offset behind the last byte that is not zero."""

    def read(self, size: int) -> bytes:
        """Read through."""
        # A header says how long it is itself, and all that is asked for is set aside before it is read.
        if not 0 <= size <= MOST_OBJECT_BYTES:
            raise ArchiveDamaged("the archive holds something of an unreasonable size")
        content = self._stream.read(size)
        meaningful = len(content.rstrip(b"\0"))
        if meaningful:
            self._last_content = self._read + meaningful
        self._read += len(content)
        # One object with its headers; tarfile itself puts no limit to the length of a header.
        if self._read > self.limit or self._read - self._read_before_object > 2 * MOST_OBJECT_BYTES:
            raise ArchiveDamaged("the archive unpacks to an unreasonable size")
        return content

    def tell(self) -> int:
        """How much was read."""
        return self._read

    def seek(self, offset: int) -> None:
        """Read on to there, or to the end."""
        if offset < self._read:
            raise tarfile.StreamError("it leads back")
        while self._read < offset and self.read(min(offset - self._read, CHUNK_BYTES)):
            pass

    def between_objects(self) -> None:
        """Called after each object: the limit of the next one begins here."""
        self._read_before_object = self._read

    def check_end(self, tar_end: int) -> None:
        """Read to the end of the gzip stream, whose checksum stands there; only the tar's end mark may be left."""
        while self.read(CHUNK_BYTES):
            self.between_objects()
        if self._last_content > tar_end:
            raise ArchiveDamaged("the archive goes on after its end, or a header in it is damaged")
        if self._read - tar_end < TAR_END_BYTES:
            raise ArchiveDamaged("the archive has no end mark: it was cut off")


def _key_of(member: str) -> tuple[ObjectKey, str]:
    """The key a path names, and of a copy in a certain version the directory it stands in."""
    place = _PLACE.fullmatch(member)
    if place is None:
        raise ArchiveDamaged(f"{member[:200]} is not where a backup keeps objects")
    resource, version, namespace, name = place.groups(default="")
    return ObjectKey(resource=resource, namespace=namespace, name=name), version


def _object(member: str, key: ObjectKey, content: bytes) -> dict[str, Any]:
    try:
        found = read_json(content)
        metadata = found["metadata"]
        named = (metadata.get("namespace") or "", metadata["name"])
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ArchiveDamaged(f"{member[:200]} is not a Kubernetes object") from None
    if named != (key.namespace, key.name):
        raise ArchiveDamaged(f"{member[:200]} holds another object: {named[0]}/{named[1]}"[:500])
    result: dict[str, Any] = found
    return result


def _archived(member: str, found: dict[str, Any]) -> ArchivedObject:
    metadata = found["metadata"]
    try:
        owners = metadata.get("ownerReferences") or []
        return ArchivedObject(
            uid=str(metadata.get("uid", "")),
            resource_version=str(metadata.get("resourceVersion", "")),
            controller=next((owner["uid"] for owner in owners if owner.get("controller")), ""),
            not_restorable=why_not_restorable(found),
        )
    except (KeyError, TypeError, AttributeError):
        raise ArchiveDamaged(f"{member[:200]} is not a Kubernetes object") from None


def why_not_restorable(found: dict[str, Any]) -> str:
    """Why Velero brings an object back under no circumstances, "" if it does (velero.io/docs, restore reference)."""
    match found:
        case {"apiVersion": "v1", "kind": "Pod", "status": {"phase": "Succeeded" | "Failed"}}:
            return "it has finished"
        case {"apiVersion": "batch/v1", "kind": "Job", "status": {"completionTime": str()}}:
            return "it has finished"
        case {"apiVersion": "v1", "kind": "PersistentVolume", "spec": {"persistentVolumeReclaimPolicy": "Delete"}}:
            return "its claim gets a new volume"
    return ""
