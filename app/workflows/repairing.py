"""Repair: bringing back exactly what a cluster that survived has lost."""

from datetime import UTC, datetime

from app.jobs.journal import Journal, age_seconds
from app.proof.comparison import compare_with_backup, find_missing
from app.proof.index import find_index
from app.velero.restoring import repair_spec
from app.workflows.archives import choose_backup
from app.workflows.checking import MOST_LISTED, clear_outstanding, compare_content, settle_outstanding
from app.workflows.outcomes import Presence, RestoreOutcome
from app.workflows.requests import RerunTasks, RestoreOptions
from app.workflows.restored_volumes import check_volumes, prepare_volumes
from app.workflows.restores import name_restores, run_restore
from app.workflows.stack import wake_stack
from app.workflows.tasks import (
    find_ended_tasks,
    list_rerun_tasks,
    list_tasks_not_run,
    remove_ended_tasks,
    rerun_policy,
    wanted_objects,
)
from app.workflows.workloads import wait_for_workloads
from app.workflows.world import InstanceSession


async def repair(backup: str, wish: RestoreOptions, session: InstanceSession, journal: Journal) -> RestoreOutcome:
    """Bring back by name what is missing, and run tasks once more that the power-off has ended.

    Where there is nothing of either, the stack sleeps on.
    """
    began, rerun = datetime.now(UTC), rerun_policy(session, wish)
    presence = await journal.step(look_for_missing, session, backup, rerun)
    if presence is None or presence.missing or (presence.ended_tasks and rerun == "keep"):
        return await mend(backup, rerun, session, journal, began)
    not_ready = await journal.step(wait_for_workloads, session)
    clear_outstanding(session, backup)
    return RestoreOutcome(
        backup=backup,
        restores=[],
        looked_for=presence.looked_for,
        tasks_not_run=presence.ended_tasks,
        workloads_not_ready=not_ready,
        seconds=age_seconds(began),
    )


async def mend(
    backup: str, rerun: RerunTasks, session: InstanceSession, journal: Journal, began: datetime
) -> RestoreOutcome:
    """Wake the stack, check the backup, restore the missing objects, and compare all of them."""
    await journal.step(wake_stack, session, journal)
    backup = await journal.step(choose_backup, session, journal, backup, exactly=True)
    await journal.record(backup=backup)
    await journal.step(prepare_volumes, session, backup)
    prefix = await journal.step(name_restores, session)
    if rerun == "keep":
        await journal.step(remove_ended_tasks, session, backup, power_was_off=True)
    missing = await journal.step(restore_missing, session, journal, backup, prefix, rerun)
    not_ready = await journal.step(wait_for_workloads, session)
    comparison = await journal.step(compare_content, session, backup, rerun)
    comparison, volumes = await check_volumes(session, journal, backup, lambda key: str(key) in missing, comparison)
    await journal.step(settle_outstanding, session, journal, backup, comparison)
    return RestoreOutcome(
        backup=backup,
        restores=[f"{prefix}-1"] * bool(missing),
        created=len(missing),
        comparison=comparison,
        rerun_tasks=await journal.step(list_rerun_tasks, session, backup),
        tasks_not_run=await journal.step(list_tasks_not_run, session, backup, rerun, power_was_off=True),
        volumes=volumes,
        workloads_not_ready=not_ready,
        seconds=age_seconds(began),
    )


async def look_for_missing(session: InstanceSession, backup: str, rerun: RerunTasks) -> Presence | None:
    """Whether everything of the backup is there, by the index kept on the host; None when that is not to be had."""
    index = find_index(session.directory, backup)
    if index is None:
        return None
    missing, looked_for = await find_missing(await session.kube(), index, wanted_objects(index, rerun))
    ended = await find_ended_tasks(session, index, power_was_off=True)
    return Presence(
        looked_for=looked_for,
        missing=[str(key) for key in missing[:MOST_LISTED]],
        ended_tasks=[str(key) for key in ended[:MOST_LISTED]],
    )


async def restore_missing(
    session: InstanceSession, journal: Journal, backup: str, prefix: str, rerun: RerunTasks
) -> list[str]:
    """Restore by name what the backup has and the cluster has not; gives what was missing."""
    wanted = wanted_objects(await session.index(backup), rerun)
    outcome = await compare_with_backup(await session.kube(), await session.archive(backup), wanted)
    if outcome.missing:
        await run_restore(session, journal, f"{prefix}-1", repair_spec(backup, outcome.missing))
    return [str(key) for key in outcome.missing]
