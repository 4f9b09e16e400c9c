"""Choosing the backup a restore uses, and reading it."""

from collections.abc import Sequence

from app.errors import BackupFailed, BackupNotFound, BackupNotProven
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.jobs.journal import Journal
from app.jobs.models import BackupRecord
from app.proof.evidence import find_proof
from app.proof.examine import rehashed
from app.proof.index import find_index
from app.proof.models import ObjectKey
from app.storage.errors import ObjectDamaged, ObjectNotFound
from app.velero.restoring import KECS_WEBHOOK, WEBHOOK_KINDS
from app.workflows.importing import import_backup
from app.workflows.world import InstanceSession

#: Objects named one by one; the rest is counted.
MOST_LISTED = 200
#: What says that a backup itself cannot be used. Anything else, a store that does not answer above all, is no reason to
#: bring back an older state: the step tries again, or the restore fails and stays due.
ABOUT_THE_BACKUP = (BackupNotFound, BackupFailed, ObjectNotFound, ObjectDamaged, HostDirectoryError)


async def choose_backup(session: InstanceSession, journal: Journal, wanted: str, *, exactly: bool) -> str:
    """The wanted backup if its objects are still what was proven, else the next older proven one.

    One that was asked for by name is never replaced. Falling back renames what is outstanding and says so.
    """
    problems = []
    for name in [wanted] if exactly else await _candidates(session, wanted):
        problem = await _problem_of(session, name)
        if problem is None:
            if name != wanted:
                await _fall_back(session, journal, wanted, name)
            return name
        problems.append(f"{name}: {problem}")
        await journal.warn("backup-damaged", f"backup {name} is not what was proven: {problem}", backup=name)
    raise BackupNotProven(
        f"no backup can be used: {'; '.join(problems)[:500]}",
        remedy=f"List what there is with GET /instances/{session.instance}/backups.",
        backup=wanted,
    )


async def _candidates(session: InstanceSession, wanted: str) -> list[str]:
    """The wanted backup, then the older proven full ones, newest first."""
    records: Sequence[BackupRecord] = await session.world.store.backups.kept(session.instance)
    names = [record.name for record in records if record.status == "proven" and record.scope == "full"]
    return names[names.index(wanted) :] if wanted in names else [wanted, *names]


async def _problem_of(session: InstanceSession, name: str) -> str | None:
    """Why a backup cannot be used, or None. One without a proof is taken as it is: it was asked for by name."""
    store = await session.objects()
    try:
        proof = find_proof(session.directory, name)
        if proof is not None:
            findings = (await rehashed(proof, store)).findings
            if findings:
                return findings[0].detail
        await import_backup(session, name)
    except ABOUT_THE_BACKUP as error:
        return error.detail
    return None


async def _fall_back(session: InstanceSession, journal: Journal, wanted: str, chosen: str) -> None:
    """The job keeps what is lost by it; the instance's record only until the older backup is restored."""
    lost = lost_by_falling_back(session.directory, wanted, chosen)
    config = session.directory.load_config()
    if config is not None and config.restore_outstanding == wanted:
        session.directory.update_config(restore_outstanding=chosen, outstanding_also_missing=lost)
    detail = f"{wanted} cannot be used, so the older {chosen} is restored"
    await journal.warn("older-backup", detail, backup=chosen, also_missing=lost)


def lost_by_falling_back(directory: InstanceDirectory, newer: str, older: str) -> list[str]:
    """What the newer backup had and the older has not, by the indexes kept on the host; of changes only the number."""
    had, has = find_index(directory, newer), find_index(directory, older)
    if had is None or has is None:
        return [f"everything that changed after {older}"]
    gone = sorted(str(key) for key in had.items.keys() - has.items.keys())
    changed = sum(
        had.items[key].resource_version != has.items[key].resource_version
        for key in had.items.keys() & has.items.keys()
    )
    more = [f"and {len(gone) - MOST_LISTED} more objects"] if len(gone) > MOST_LISTED else []
    return [*gone[:MOST_LISTED], *more, *([f"newer content of {changed} objects"] if changed else [])]


def ours_to_restore(key: ObjectKey) -> bool:
    """Everything but KECS's own webhook configuration, which KECS makes anew with its own certificate."""
    return not (key.resource in WEBHOOK_KINDS and key.name == KECS_WEBHOOK)
