"""Repair: bringing back exactly what a cluster that survived has lost."""

from datetime import UTC, datetime

from app.jobs.journal import Journal, age_seconds
from app.proof.comparison import compare_with_backup, find_missing
from app.proof.index import find_index
from app.velero.restoring import repair_spec
from app.workflows.archives import choose_backup
from app.workflows.checking import MOST_LISTED, clear_outstanding, compare_content, ours_to_restore, settle_outstanding
from app.workflows.outcomes import Presence, RestoreOutcome
from app.workflows.restores import name_restores, run_restore
from app.workflows.stack import wake_stack
from app.workflows.workloads import wait_for_workloads
from app.workflows.world import InstanceSession


async def repair(backup: str, session: InstanceSession, journal: Journal) -> RestoreOutcome:
    """Bring back by name what is missing; where nothing is, the stack sleeps on."""
    began = datetime.now(UTC)
    presence = await journal.step(look_for_missing, session, backup)
    if presence is None or presence.missing:
        return await mend(backup, session, journal, began)
    not_ready = await journal.step(wait_for_workloads, session)
    clear_outstanding(session, backup)
    return RestoreOutcome(
        backup=backup,
        restores=[],
        looked_for=presence.looked_for,
        workloads_not_ready=not_ready,
        seconds=age_seconds(began),
    )


async def mend(backup: str, session: InstanceSession, journal: Journal, began: datetime) -> RestoreOutcome:
    """Wake the stack, check the backup, restore the missing objects, and compare all of them."""
    await journal.step(wake_stack, session, journal)
    backup = await journal.step(choose_backup, session, journal, backup, exactly=True)
    await journal.record(backup=backup)
    prefix = await journal.step(name_restores, session)
    missing = await journal.step(restore_missing, session, journal, backup, prefix)
    not_ready = await journal.step(wait_for_workloads, session)
    comparison = await journal.step(compare_content, session, backup)
    await journal.step(settle_outstanding, session, journal, backup, comparison)
    return RestoreOutcome(
        backup=backup,
        restores=[f"{prefix}-1"] * bool(missing),
        created=len(missing),
        comparison=comparison,
        rerun_tasks=[name for name in missing if name.startswith("pods ")],
        workloads_not_ready=not_ready,
        seconds=age_seconds(began),
    )


async def look_for_missing(session: InstanceSession, backup: str) -> Presence | None:
    """Whether everything of the backup is there, by the index kept on the host; None when that is not to be had."""
    index = find_index(session.directory, backup)
    if index is None:
        return None
    missing, looked_for = await find_missing(await session.kube(), index, ours_to_restore)
    return Presence(looked_for=looked_for, missing=[str(key) for key in missing[:MOST_LISTED]])


async def restore_missing(session: InstanceSession, journal: Journal, backup: str, prefix: str) -> list[str]:
    """Restore by name what the backup has and the cluster has not; gives what was missing."""
    outcome = await compare_with_backup(await session.kube(), await session.archive(backup), ours_to_restore)
    if outcome.missing:
        await run_restore(session, journal, f"{prefix}-1", repair_spec(backup, outcome.missing))
    return [str(key) for key in outcome.missing]
