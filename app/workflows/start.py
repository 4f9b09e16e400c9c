"""The story of a start: power on, find out which cluster this is, and bring back what is missing."""

from app.db import DatabaseError
from app.errors import RestoreFailed, ServiceError
from app.jobs.journal import Journal
from app.ports import PowerState
from app.workflows.checking import MOST_LISTED
from app.workflows.encryption import refuse_lost_key
from app.workflows.fallback import fall_back
from app.workflows.identity import identify_and_decide, note_restore_pending
from app.workflows.kecs_server import release_kecs_server
from app.workflows.outcomes import Decision, RestoreOutcome, StartResult
from app.workflows.power import (
    finish_power_on,
    power_on,
    powering_on,
    read_power,
    refuse_half_off,
    require_running,
    wait_for_api,
)
from app.workflows.records import list_other_backups, newer_accepted
from app.workflows.repairing import repair
from app.workflows.requests import RestoreOptions, RestoreRequest, StartRequest
from app.workflows.restoring import restore
from app.workflows.rollout import choose_for_start
from app.workflows.state_copies import bounded_copying, ready_state
from app.workflows.world import InstanceSession


async def start_instance(request: StartRequest, session: InstanceSession, journal: Journal) -> StartResult:
    """Power the cluster on and bring back what the newest proven backup has and the cluster has not."""
    session.ask_ahead()
    before = await journal.step(read_power, session)
    refuse_half_off(session, before)
    if before.state is PowerState.RUNNING:
        return await use(request, session, journal, was_running=True)
    await session.forget_access()
    if (await choose_for_start(session, request)).mode != "never":
        refuse_lost_key(session)
    await journal.step(note_restore_pending, session, before)
    await bounded_copying(session, journal).optional_step(ready_state, session, journal)
    async with powering_on(session) as starting:
        await journal.step(power_on, session, starting)
        result = await use(request, session, journal, was_running=False)
        await journal.step(finish_power_on, starting)
    return result


async def use(request: StartRequest, session: InstanceSession, journal: Journal, *, was_running: bool) -> StartResult:
    """What follows as soon as the API server answers."""
    await journal.step(wait_for_api, session)
    wish = await journal.step(choose_for_start, session, request)
    return await bring_back(wish, session, journal, was_running=was_running)


async def restore_instance(request: RestoreRequest, session: InstanceSession, journal: Journal) -> StartResult:
    """Bring a backup back into a running cluster."""
    require_running(session, await read_power(session))
    return await bring_back(request.restore, session, journal, was_running=True)


async def bring_back(
    wish: RestoreOptions, session: InstanceSession, journal: Journal, *, was_running: bool
) -> StartResult:
    """Do what the cluster's identity asks for; a restore that fails is a warning and a running cluster."""
    decision = await journal.step(identify_and_decide, session, wish)
    restored = None
    try:
        restored = await carry_out(decision, wish, session, journal)
        refuse_missing(session, restored)
    except DatabaseError:
        raise
    except ServiceError as error:
        if wish.required:
            raise
        await journal.warn("restore-failed", error.detail, cause=error.code, remedy=error.remedy, **error.extras)
        # Held for the restore, KECS's server would bring nothing back of its own.
        await journal.optional_step(release_kecs_server, session)
    kecs = await fall_back(decision, session, journal) if restored is None else None
    others = []
    if decision.action in {"record", "nothing-to-restore"}:
        others = await journal.step(list_other_backups, session)
    config = session.directory.load_config()
    return StartResult(
        noop=was_running and restored is None and decision.backup is None,
        action=decision.action,
        reason=decision.reason,
        backup=restored.backup if restored else decision.backup,
        restored=restored,
        kecs_restored=kecs,
        restore_outstanding=config.restore_outstanding if config else None,
        other_backups=others,
    )


async def tell_of_accepted(session: InstanceSession, journal: Journal, chosen: str) -> None:
    """A backup that nobody has proven is restored by its name only: so name it."""
    for name in await newer_accepted(session, chosen):
        detail = f"backup {name} is newer than {chosen}, but was only accepted, not proven"
        await journal.warn(
            "newer-accepted-backup", detail, backup=name, remedy=f"To have that one, restore it with backup_id {name}."
        )


def refuse_missing(session: InstanceSession, restored: RestoreOutcome | None) -> None:
    """A restore that left objects out has failed, whatever Velero says of it."""
    missing = restored.comparison.missing if restored and restored.comparison else []
    if restored is not None and missing:
        raise RestoreFailed(
            f"{len(missing)} objects did not come back: {', '.join(missing[:5])}",
            remedy=f"Start again, or give them up: POST /instances/{session.instance}/restore-outstanding/accept.",
            backup=restored.backup,
            missing=missing[:MOST_LISTED],
        )


async def carry_out(
    decision: Decision, wish: RestoreOptions, session: InstanceSession, journal: Journal
) -> RestoreOutcome | None:
    """Repair, restore, or nothing at all."""
    if decision.backup is None or decision.action == "power-on-only":
        return None
    if decision.action == "repair":
        return await repair(decision.backup, wish, session, journal)
    if decision.action == "restore" and wish.backup_id is None:
        await journal.step(tell_of_accepted, session, journal, decision.backup)
    return await restore(decision, wish, session, journal)
