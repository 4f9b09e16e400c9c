"""A backup's index, kept on the host beside its proof: what it holds, known without waking anything."""

import gzip
import json
import zlib
from typing import Any

from pydantic import TypeAdapter, ValidationError

from app.host.instance_directory import InstanceDirectory
from app.proof.archive import Archive, ArchivedObject
from app.proof.evidence import small_object
from app.proof.models import ObjectKey

INDEX_FILE = "objects.json.gz"
_KEY, _ITEM = TypeAdapter(ObjectKey), TypeAdapter(ArchivedObject)


def write_index(archive: Archive) -> bytes:
    """One row an object, gzipped JSON; the same archive gives the same bytes."""
    rows = [_KEY.dump_python(key) | _ITEM.dump_python(item) for key, item in archive.items.items()]
    return gzip.compress(json.dumps({"format": archive.format_version, "objects": rows}).encode(), mtime=0)


def find_index(directory: InstanceDirectory, backup: str) -> Archive | None:
    """The index kept with a proof, or None: there is none, or it cannot be read; then the bucket has to be asked."""
    content = small_object(directory, backup, INDEX_FILE)
    if content is None:
        return None
    try:
        document: dict[str, Any] = json.loads(gzip.decompress(content))
        items = {_KEY.validate_python(row): _ITEM.validate_python(row) for row in document["objects"]}
        return Archive(items, document["format"])
    except (OSError, EOFError, zlib.error, ValueError, KeyError, TypeError, ValidationError):
        return None
