"""Tarballs in a backup's layout, made here byte by byte so that they can be wrong in every way."""

import gzip
import io
import json
import tarfile
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

Object = dict[str, Any]
Member = tuple[str, bytes]

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
VERSION: Member = ("metadata/version", b"1.1.0\n")
PLURALS = {
    "ConfigMap": "configmaps",
    "Secret": "secrets",
    "Pod": "pods",
    "Namespace": "namespaces",
    "Deployment": "deployments.apps",
    "ReplicaSet": "replicasets.apps",
    "Job": "jobs.batch",
    "PersistentVolume": "persistentvolumes",
}


def an_object(kind: str, name: str, namespace: str = "shop", *, version: str = "10", **content: Any) -> Object:
    """One live object; its UID is made of its names."""
    group = "apps/v1" if kind in {"Deployment", "ReplicaSet"} else "batch/v1" if kind == "Job" else "v1"
    metadata = {"name": name, "uid": f"uid-{kind}-{name}", "resourceVersion": version, **content.pop("metadata", {})}
    if namespace:
        metadata["namespace"] = namespace
    return {"apiVersion": group, "kind": kind, "metadata": metadata, **content}


def place_of(found: Object, version: str = "") -> str:
    """Where a backup keeps an object; with a version, where its copy stands."""
    metadata = found["metadata"]
    namespace = metadata.get("namespace")
    scope = f"namespaces/{namespace}" if namespace else "cluster"
    parts = ["resources", PLURALS[found["kind"]], version, scope, f"{metadata['name']}.json"]
    return "/".join(part for part in parts if part)


def members_of(objects: Iterable[Object]) -> list[Member]:
    """Each object twice, as Velero writes it."""
    members = [VERSION]
    for found in objects:
        content = json.dumps(found).encode()
        members += [(place_of(found), content), (place_of(found, "v1-preferredversion"), content)]
    return members


def a_tar(members: Iterable[Member], *, ended: bool = True) -> bytes:
    """The plain tar, as Go writes it: two blocks of zeros at the end and no more."""
    parts = []
    for name, content in members:
        entry = tarfile.TarInfo(name)
        entry.size, entry.mode = len(content), 0o755
        parts += [entry.tobuf(tarfile.GNU_FORMAT), content, bytes(-len(content) % 512)]
    return b"".join(parts) + (bytes(1024) if ended else b"")


def an_archive(objects: Sequence[Object]) -> bytes:
    """A good tarball."""
    return gzip.compress(a_tar(members_of(objects)), mtime=0)


def written(path: Path, content: bytes) -> Path:
    """The content as a file."""
    path.write_bytes(content)
    return path


def python_archive(objects: Sequence[Object]) -> bytes:
    """The same by Python's tarfile, which pads the end to 10,240 bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in members_of(objects):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()
