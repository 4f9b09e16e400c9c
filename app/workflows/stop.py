"""The story of a stop: back up, prove, and only then power off."""

from datetime import UTC, datetime, timedelta

from app.concurrency import together
from app.db import DatabaseError
from app.errors import ProofExpired, ServiceError
from app.jobs.journal import Journal
from app.ports import PowerState
from app.workflows.backing_up import make_proven_backup, prune
from app.workflows.changes import list_changes_since_backup
from app.workflows.identity import record_identity
from app.workflows.outcomes import ChangedObject, PowerReading, ProvenBackup, StopResult
from app.workflows.power import power_off, read_power, require_running, verify_off
from app.workflows.requests import StopRequest
from app.workflows.rollout import choose_for_stop
from app.workflows.stack import sleep_stack
from app.workflows.state_copies import bounded_copying, copy_state
from app.workflows.world import InstanceSession

#: What a cluster that nothing is known of gets to say who it is, before it is powered off without a backup.
IDENTITY_SECONDS = 10.0
#: By how much a clock may be put right while a stop runs.
CLOCK_SECONDS = 1.0


async def stop_instance(request: StopRequest, session: InstanceSession, journal: Journal) -> StopResult:
    """Back the instance up, prove the backup, then power its cluster off."""
    if request.backup.mode != "skip":
        session.ask_ahead()
    reading = await read_power(session)
    resumed = journal.power_off_begun and reading.state is not PowerState.RUNNING
    if reading.state is PowerState.STOPPED and not resumed:
        return already_off(session, reading)
    if request.backup.mode == "skip":
        return await power_off_unprotected(session, journal, "no backup was asked for")
    velero = await journal.step(choose_for_stop, session, journal, request)
    if not velero.use:
        return await power_off_unprotected(session, journal, f"done without Velero: {velero.because}")
    if not resumed:
        require_running(session, reading)
    try:
        backup, pruned, changed = await prove_within_tries(request, session, journal, resumed=resumed)
    except DatabaseError:
        raise  # no end of the backup: the job is taken up again when the database works
    except ServiceError as error:
        if request.backup.mode != "best_effort" or error.status == 409:
            raise
        await journal.warn("unprotected", f"powered off without a proven backup: {error.detail}", cause=error.code)
        return await power_off_unprotected(session, journal, error.detail)
    flaw = backup.unprotected_because
    stopped_with = None if flaw else backup.ref.name
    copy = await turn_off(session, journal.with_try(journal.last_try), stopped_with=stopped_with)
    return StopResult(
        protected=not flaw,
        reason=flaw,
        backup=backup.ref.name,
        proof=backup.proof,
        changed_since_backup=changed,
        not_saved=backup.not_saved,
        volumes=backup.volumes,
        pruned=pruned,
        state_copy=copy,
        power_off=session.settings.workflow.power_off,
    )


async def prove_within_tries(
    request: StopRequest, session: InstanceSession, journal: Journal, *, resumed: bool
) -> tuple[ProvenBackup, list[str], list[ChangedObject]]:
    """A proof that is fresh at this moment, what was pruned for it, and what changed since.

    A proof that has grown old is thrown away and made anew.

    ``resumed``: the power-off has begun already and the cluster does not answer any more, so the recorded try
    stands and only the rest of the power-off is left to do.
    """
    attempt = journal.with_try(journal.last_try if resumed else journal.next_try)
    for _ in range(session.settings.workflow.max_backup_tries):
        backup = await make_proven_backup("stop-backup", request.backup, session, attempt)
        attempt = journal.with_try(backup.try_number)
        pruned, changed = await together(
            _prune_and_sleep(session, attempt),
            attempt.step(list_changes_since_backup, session, backup.scope, backup.inventory),
        )
        age = datetime.now(UTC) - backup.proof.finished_at
        if resumed or is_fresh(age, session.settings.workflow.proof_max_age_seconds):
            return backup, pruned, changed
        await journal.warn(
            "proof-expired",
            f"the proof of {backup.ref.name} was {age.total_seconds():.0f} s old",
            backup=backup.ref.name,
        )
        attempt = journal.with_try(backup.try_number + 1)
    raise ProofExpired(
        "every proof was too old when the power-off was due; the cluster runs on",
        remedy="Try again when the machine is less busy, or raise KECS_STATE_WORKFLOW__PROOF_MAX_AGE_SECONDS.",
    )


async def _prune_and_sleep(session: InstanceSession, journal: Journal) -> list[str]:
    """The last that the stack is needed for; gives the names of the backups that went."""
    pruned = await prune(session, journal)
    await journal.optional_step(sleep_stack, session)
    return pruned


def is_fresh(age: timedelta, most_seconds: float) -> bool:
    """Whether a proof of this age may count; one from the future has no age: the clock was set back since."""
    return -CLOCK_SECONDS <= age.total_seconds() <= most_seconds


async def power_off_unprotected(session: InstanceSession, journal: Journal, reason: str) -> StopResult:
    """Power off without a proven backup, because the caller said so; the job says ``protected: false``."""
    config = session.directory.load_config()
    if config is None or config.cluster_uid is None:
        # So that the next start can tell whether this very cluster came back, or another of its name.
        await journal.bounded(IDENTITY_SECONDS).optional_step(record_identity, session)
    copy = await turn_off(session, journal.with_try(journal.next_try), stopped_with=None)
    power_off = session.settings.workflow.power_off
    return StopResult(protected=False, state_copy=copy, power_off=power_off, reason=reason)


def already_off(session: InstanceSession, reading: PowerReading) -> StopResult:
    """The answer for a cluster that is off: protected only if a proven stop of ours turned it off."""
    config = session.directory.load_config()
    ours = config is not None and config.powered_by_nobody_since(reading.off_epoch)
    backup = config.stopped_with if config is not None and ours else None
    reason = "it was off already" if backup else "it was off already, and no proven stop turned it off"
    return StopResult(noop=True, protected=backup is not None, backup=backup, reason=reason)


async def turn_off(session: InstanceSession, journal: Journal, *, stopped_with: str | None) -> str | None:
    """Past the point of no return: off, verified, what the next start decides by on record, and KECS's store copied.

    Gives that copy's name. On record are the ``off_epoch`` and the backup that holds the whole state, if one does. The
    journal is a try's own: a power-off that another try recorded was undone since.
    """
    await journal.point_of_no_return()
    await journal.step(power_off, session)
    off = await journal.step(verify_off, session)
    if session.directory.load_config() is not None:
        session.directory.update_config(off_epoch=off.off_epoch, stopped_with=stopped_with)
    return await bounded_copying(session, journal).optional_step(copy_state, session)
