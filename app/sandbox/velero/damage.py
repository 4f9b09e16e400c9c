"""Damages a finished backup in the bucket before it is said Completed, when a fault switch asks for it."""

import gzip
import json
import logging
import os
import zlib

from app.sandbox.objects import Object
from app.sandbox.velero import layout
from app.sandbox.velero.archive import ArchiveKey, rewrite_archive
from app.sandbox.velero.bucket import Bucket
from app.sandbox.velero.switches import Damage, Switches

log = logging.getLogger(__name__)


async def damage_backup(bucket: Bucket, name: str, switches: Switches) -> None:
    """Raises ValueError for a kind of damage that does not exist."""
    damage = switches.damage(name)
    if damage is None:
        return
    log.warning("fault switch: backup %s gets damage %s", name, damage.how)
    match damage.how:
        case "tar-overwritten" | "tar-truncated" | "tar-bit-flipped" | "tar-framed" | "item-missing" | "item-older":
            key = layout.backup_contents(name)
            await bucket.put(key, _damaged_tar(await bucket.get(key), damage))
        case "tar-missing":
            await bucket.delete(layout.backup_contents(name))
        case "metadata-missing":
            await bucket.delete(layout.backup_metadata(name))
        case "metadata-other":
            metadata = json.loads(await bucket.get(layout.backup_metadata(name)))
            metadata["metadata"]["uid"] = "of-another-backup"
            await bucket.put(layout.backup_metadata(name), json.dumps(metadata).encode())
        case "metadata-finalizing":
            metadata = json.loads(await bucket.get(layout.backup_metadata(name)))
            metadata["status"]["phase"] = "Finalizing"
            metadata["status"].pop("completionTimestamp", None)
            await bucket.put(layout.backup_metadata(name), json.dumps(metadata).encode())
        case "object-missing":
            await bucket.delete(layout.backup_file(name, damage.object_suffix))
        case _:
            raise ValueError(f"unknown damage {damage.how!r}")


def _damaged_tar(data: bytes, damage: Damage) -> bytes:
    match damage.how:
        case "tar-overwritten":
            return os.urandom(len(data))
        case "tar-truncated":
            return data[: len(data) // 2]
        case "tar-framed":
            # As a store keeps it that takes a client's checksum trailer for content (velero #9804).
            return b"%x\r\n%b\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n" % (len(data), data)
        case "tar-bit-flipped":
            return _with_a_harmful_flip(data)
    return rewrite_archive(data, lambda key, content: _damaged_item(key, content, damage))


def _with_a_harmful_flip(data: bytes) -> bytes:
    """One bit flipped in the middle, where it does harm: about one in a thousand of a gzip stream means nothing."""
    for at in range(len(data) // 2, len(data)):
        flipped = data[:at] + bytes([data[at] ^ 0x10]) + data[at + 1 :]
        try:
            gzip.decompress(flipped)
        except (OSError, EOFError, zlib.error):
            return flipped
    raise ValueError("no bit of this archive matters")


def _damaged_item(key: ArchiveKey, content: Object, damage: Damage) -> Object | None:
    if key != damage.key:
        return content
    if damage.how == "item-missing":
        return None
    older = str(max(int(content["metadata"]["resourceVersion"]) - 1, 1))
    return {**content, "metadata": {**content["metadata"], "resourceVersion": older}}
