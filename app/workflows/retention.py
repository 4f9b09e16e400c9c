"""Keep-last-N: which backups may go, and letting Velero delete them."""

from collections.abc import Sequence
from itertools import product

from app.jobs.models import BackupRecord
from app.proof.evidence import delete_proof
from app.storage import layout
from app.workflows.importing import import_backup
from app.workflows.world import InstanceSession


def victims(records: Sequence[BackupRecord], keep: int, spared: set[str]) -> list[str]:
    """Names of backups that may go, oldest first; ``records`` are those an instance has, newest first.

    The newest ``keep`` proven full backups stay, and beside them as many partial ones and as many accepted ones,
    which displace nothing but their own kind. Pinned and spared ones stay without counting. Tries that came to nothing
    go once they are older than the oldest proven one kept.
    """
    going: set[str] = set()
    for scope, status in product(("full", "partial"), ("proven", "accepted")):
        kind = [record for record in records if record.scope == scope and record.status == status]
        counted = [record for record in kind if not record.pinned and record.name not in spared]
        going.update(record.name for record in counted[keep:])
        if len(counted) >= keep and (scope, status) == ("full", "proven"):
            oldest_kept = counted[keep - 1].created_at
            going.update(
                record.name
                for record in records
                if record.status not in {"proven", "accepted"}
                and record.created_at < oldest_kept
                and not record.pinned
                and record.name not in spared
            )
    return [record.name for record in reversed(records) if record.name in going]


async def prune_backups(session: InstanceSession) -> list[str]:
    """Delete what keep-last-N lets go of, for a bounded time; what is left goes at the next wake."""
    config = session.directory.load_config()
    if config is None:
        return []
    store = session.world.store
    records = [
        record for record in await store.backups.kept(session.instance) if record.instance_id == config.instance_id
    ]
    spared = {name for name in (config.restore_outstanding, config.restore_pending) if name}
    keep = session.rules().keep_last
    deleted = []
    for name in victims(records, keep, spared):
        await forget_backup(session, name)
        deleted.append(name)
    return deleted


async def forget_backup(session: InstanceSession, name: str) -> None:
    """Delete a backup and its evidence; the row stays as history."""
    await _delete_backup(session, name)
    await session.world.store.backups.mark_deleted(session.instance, name)
    delete_proof(session.directory, name)


async def _delete_backup(session: InstanceSession, name: str) -> None:
    """Delete one backup through Velero, so that nothing brings it back; already gone is success.

    Velero deletes only what it knows: a backup that only the bucket holds is imported first.
    """
    store, velero = await session.objects(), await session.velero()
    prefix = layout.backup_prefix(name)
    if not await store.list_objects(prefix):
        await velero.delete_plain(name)
        return
    if await velero.find_backup(name) is None:
        await import_backup(session, name)
    await velero.delete_backup(name, timeout_seconds=session.settings.workflow.prune_timeout_seconds)
    left = await store.list_objects(prefix)
    if left:
        await store.delete([stored.key for stored in left])
