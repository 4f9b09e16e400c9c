"""The backup's tarball in Velero's real layout: written from live objects, read back for a restore."""

import gzip
import io
import json
import tarfile
import time
from collections.abc import Callable, Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import Object, name_of, namespace_of

FORMAT_VERSION = "1.1.0"
_VERSION_FILE = "metadata/version"


class ArchiveError(Exception):
    """The tarball cannot be read, or is of a format this server does not know."""


class Item(NamedTuple):
    """One object to be saved."""

    resource: ResourceType
    content: Object


class ArchiveKey(NamedTuple):
    """Where an object stands in a tarball; ``namespace`` is empty for cluster-scoped ones."""

    resource: str
    namespace: str
    name: str


def write_archive(items: Iterable[Item]) -> bytes:
    """Each object stands twice, as in a real backup: plainly and below its preferred version."""
    buffer = io.BytesIO()
    moment = int(time.time())
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as tar:
        _add(tar, _VERSION_FILE, f"{FORMAT_VERSION}\n".encode(), moment)
        for item in items:
            data = json.dumps(item.content, separators=(",", ":")).encode()
            namespace = namespace_of(item.content)
            place = f"namespaces/{namespace}" if namespace else "cluster"
            file = f"{place}/{name_of(item.content)}.json"
            _add(tar, f"resources/{item.resource.name}/{file}", data, moment)
            _add(tar, f"resources/{item.resource.name}/{item.resource.version}-preferredversion/{file}", data, moment)
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes, moment: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode, entry.mtime = len(data), 0o755, moment
    tar.addfile(entry, io.BytesIO(data))


def read_archive(data: bytes) -> dict[ArchiveKey, bytes]:
    """The plain copies by key, as JSON text. Raises ArchiveError if the tarball is damaged or too new."""
    found: dict[ArchiveKey, bytes] = {}
    version = b""
    try:
        with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
            for entry in tar:
                reader = tar.extractfile(entry)
                if reader is None:
                    continue
                if entry.name == _VERSION_FILE:
                    version = reader.read().strip()
                elif (key := archive_key(entry.name)) is not None:
                    found[key] = reader.read()
    except (tarfile.TarError, OSError, EOFError, ValueError) as error:
        raise ArchiveError(f"error unzipping and extracting: {error}") from error
    if not version.startswith(b"1."):
        raise ArchiveError(f"unsupported backup format version {version.decode(errors='replace')!r}")
    return found


def archive_key(path: str) -> ArchiveKey | None:
    """The key of a plain copy; None for the copies by version and for what is no object."""
    match PurePosixPath(path).parts:
        case ("resources", resource, "namespaces", namespace, file):
            return ArchiveKey(resource, namespace, file.removesuffix(".json"))
        case ("resources", resource, "cluster", file):
            return ArchiveKey(resource, "", file.removesuffix(".json"))
    return None


def rewrite_archive(data: bytes, change: Callable[[ArchiveKey, Object], Object | None]) -> bytes:
    """The tarball with both copies of each object as ``change`` returns it; None leaves the object out."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as source,
        tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as target,
    ):
        for entry in source:
            reader = source.extractfile(entry)
            content = reader.read() if reader else b""
            key = archive_key(_plain_path(entry.name))
            if key is not None:
                changed = change(key, json.loads(content))
                if changed is None:
                    continue
                content = json.dumps(changed, separators=(",", ":")).encode()
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def _plain_path(path: str) -> str:
    return "/".join(part for part in path.split("/") if not part.endswith("-preferredversion"))


def gzipped_json(value: object) -> bytes:
    return gzip.compress(json.dumps(value, separators=(",", ":")).encode(), compresslevel=1)
