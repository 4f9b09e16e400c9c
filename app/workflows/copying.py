"""Copying backups from one store to another, so that each copy is worth as much as what was proven."""

from collections.abc import Awaitable, Callable

from app.errors import BackupDamaged
from app.proof.examine import rehashed
from app.proof.models import Proof
from app.scratch import scratch_directory
from app.storage import layout
from app.storage.errors import ObjectDamaged, ObjectNotFound
from app.storage.s3 import S3Store

#: Told how many bytes were copied.
OnCopied = Callable[[int], Awaitable[None]]


async def copy_backup(proof: Proof, source: S3Store, target: S3Store, on_copied: OnCopied) -> None:
    """Every object that was proven, read back from the target; one that is there already is left as it is.

    The metadata come last: without them a backup does not exist for Velero, so one half copied is none.
    Raises ``BackupDamaged`` when the source is not what was proven, or the target not what was sent.
    """
    if not (await rehashed(proof, target)).findings:
        return
    last = layout.metadata_key(proof.backup)
    for digest in sorted(proof.objects, key=lambda digest: digest.key == last):
        if await _copy(digest.key, source, target, on_copied) != digest.sha256:
            raise BackupDamaged(
                f"{digest.key} is not what was proven, so it was not copied any further",
                remedy="Validate the backup: a damaged one counts as proven no more, and a move leaves it behind.",
                backup=proof.backup,
            )
    findings = (await rehashed(proof, target)).findings
    if findings:
        raise BackupDamaged(
            f"the copy of {proof.backup!r} is not what was sent: {findings[0].detail}",
            remedy="Look at the target store; nothing has been changed but what lies in it.",
            backup=proof.backup,
        )


async def copy_repository(source: S3Store, target: S3Store, on_copied: OnCopied) -> int:
    """What volumes were saved as, which all backups share; returns the number of its objects.

    A repository is a whole: the target's becomes the same, so what an earlier move has left there and upkeep has
    removed since goes. Blobs never change under their names, but for a few small ones of the repository itself.
    """
    there = {stored.key: stored.size for stored in await target.list_objects(layout.REPOSITORY_PREFIX)}
    wanted = await source.list_objects(layout.REPOSITORY_PREFIX)
    for stored in wanted:
        if there.get(stored.key) == stored.size and not _may_change(stored.key):
            continue
        try:
            sent = await _copy(stored.key, source, target, on_copied)
        except ObjectNotFound:
            continue  # removed by upkeep meanwhile, so of no backup
        if await _hash(stored.key, target) != sent:
            raise ObjectDamaged(f"the copy of {stored.key} is not what was sent", key=stored.key)
    await target.delete(sorted(there.keys() - {stored.key for stored in wanted}))
    return len(wanted)


def _may_change(key: str) -> bool:
    """``kopia.repository``, ``kopia.blobcfg``, ``kopia.maintenance``."""
    return key.rpartition("/")[2].startswith("kopia.")


async def _copy(key: str, source: S3Store, target: S3Store, on_copied: OnCopied) -> str:
    """One object by way of this machine's disk; returns its SHA-256 as it was read."""
    with scratch_directory() as scratch:
        path = scratch / "object"
        found = await source.download(key, path, on_copied)
        await target.upload(path, key)
    return found.sha256


async def _hash(key: str, store: S3Store) -> str:
    with scratch_directory() as scratch:
        return (await store.download(key, scratch / "object")).sha256
