"""Deleting one backup because somebody asked for it."""

from app.errors import BackupNotFound, BackupPinned, LastGoodBackup
from app.host.instance_directory import InstanceDirectory
from app.jobs.journal import Journal
from app.jobs.models import BackupRecord
from app.workflows.identity import outstanding_error
from app.workflows.outcomes import Outcome
from app.workflows.power import read_power, require_running
from app.workflows.requests import DeleteBackupJob
from app.workflows.retention import forget_backup
from app.workflows.stack import wake_stack
from app.workflows.world import InstanceSession, World


class DeleteResult(Outcome):
    """A backup that is gone."""

    backup: str
    deleted: bool = True


async def delete_one_backup(request: DeleteBackupJob, session: InstanceSession, journal: Journal) -> DeleteResult:
    """Delete a backup from the bucket, the cluster and this host; its row stays as history."""
    require_running(session, await read_power(session))
    await journal.record(backup=request.backup)
    await journal.step(check_deletable, session, request)
    await journal.step(wake_stack, session, journal)
    await journal.step(delete_and_forget, session, request.backup)
    return DeleteResult(backup=request.backup)


async def check_deletable(session: InstanceSession, request: DeleteBackupJob) -> None:
    """The same rules as when the job was accepted: a pin, or a backup's end, may have come in between."""
    await refuse_needed(session.world, session.directory, session.instance, request)


async def delete_and_forget(session: InstanceSession, backup: str) -> None:
    """Through Velero, so that nothing brings it back; already gone is success."""
    await forget_backup(session, backup)


async def refuse_needed(world: World, directory: InstanceDirectory, name: str, request: DeleteBackupJob) -> None:
    """Raise for a backup that must stay: pinned, due to be restored, or the last good one unless that is forced."""
    records = await world.store.backups.kept(name)
    record = next((record for record in records if record.name == request.backup), None)
    if record is None:
        raise backup_not_found(name, request.backup)
    if record.pinned:
        raise BackupPinned(
            f"backup {record.name!r} is pinned",
            remedy=f"Let it go first: DELETE /instances/{name}/backups/{record.name}/pin.",
            instance_name=name,
            backup=record.name,
        )
    config = directory.load_config()
    if config is not None and record.name in {config.restore_outstanding, config.restore_pending}:
        raise outstanding_error(name, record.name)
    if _is_good(record) and sum(map(_is_good, records)) == 1 and not request.force:
        raise LastGoodBackup(
            f"backup {record.name!r} is the last proven one of instance {name!r}",
            remedy=f"Make a new one first, or delete it all the same: "
            f"DELETE /instances/{name}/backups/{record.name}?force=true.",
            instance_name=name,
            backup=record.name,
        )


def backup_not_found(instance: str, backup: str) -> BackupNotFound:
    """The problem of a backup that is not known, or not any more."""
    return BackupNotFound(
        f"instance {instance!r} has no backup {backup!r}",
        remedy=f"List what there is with GET /instances/{instance}/backups.",
        instance_name=instance,
        backup=backup,
    )


def _is_good(record: BackupRecord) -> bool:
    return record.status == "proven" and record.scope == "full"
