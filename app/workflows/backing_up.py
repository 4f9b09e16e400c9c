"""From a running cluster to a proven backup: the steps a stop and a backup job share."""

from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from app import names, phases
from app.concurrency import together
from app.errors import BackupFailed, BackupInterrupted, ServiceError
from app.jobs.journal import Journal
from app.proof.inventory import take_inventory as list_inventory
from app.proof.models import Inventory
from app.proof.reports import read_backup_errors
from app.velero.scope import Scope
from app.workflows.identity import identify_cluster
from app.workflows.outcomes import BackupRef, Preparation, ProvenBackup
from app.workflows.policies import Rules
from app.workflows.preflight import prepare_scope, require_storage
from app.workflows.proving import prove_backup
from app.workflows.records import note_bucket_backups, unproven_record
from app.workflows.requests import BackupOptions, NotSaved
from app.workflows.retention import prune_backups
from app.workflows.stack import start_node_agent, wake_stack
from app.workflows.volumes import maintain_repositories, proven_volumes
from app.workflows.world import InstanceSession

Kind = Literal["stop-backup", "backup"]
MOST_REASONS = 20
#: Characters of Velero's reasons in a problem's detail.
MOST_QUOTED = 500


async def make_proven_backup(
    kind: Kind, options: BackupOptions, session: InstanceSession, journal: Journal
) -> ProvenBackup:
    """Back the instance up and prove the backup, or look at it as the rules say; it counts only when this returns.

    A backup that Velero's restart broke off is made once more, as the next try; ``try_number`` says which one it was.
    """
    try:
        return await _make_and_prove(kind, options, session, journal)
    except ServiceError as error:
        if error.code != BackupInterrupted.code:  # by its code, since the journal may have given it back
            raise
        await journal.warn("backup-made-again", f"{error.detail}; it was made once more", cause=error.code)
    return await _make_and_prove(kind, options, session, journal.with_try(journal.try_number + 1))


async def _make_and_prove(
    kind: Kind, options: BackupOptions, session: InstanceSession, journal: Journal
) -> ProvenBackup:
    gate = session.rules(options.gate_wish)
    identity = await journal.step(identify_cluster, session)
    await journal.step(require_storage, session)
    # Every list of the inventory ends before the Backup is posted: what it holds, the backup must hold.
    (prepared, inventory), name = await together(
        _look(options, session, journal), _wake_and_choose_name(kind, session, journal)
    )
    if prepared.saves_volumes:
        await journal.step(start_node_agent, session)
        await journal.optional_step(maintain_repositories, session)
    ref = await journal.step(create_backup, session, journal, name, prepared.scope)
    await journal.step(wait_for_backup, session, journal, ref, gate)
    proof = await journal.step(prove_backup, session, journal, ref, inventory, prepared, identity, gate)
    return ProvenBackup(
        ref=ref,
        try_number=journal.try_number,
        scope=prepared.scope,
        inventory=inventory,
        proof=proof,
        not_saved=[*prepared.not_saved, *unlisted(inventory, prepared.not_saved)],
        volumes=proven_volumes(session, ref.name),
    )


async def _look(options: BackupOptions, session: InstanceSession, journal: Journal) -> tuple[Preparation, Inventory]:
    """What stands in the way, and all that is there; a refusal ends the waking beside it."""
    prepared = await journal.step(prepare_scope, session, options)
    return prepared, await journal.step(take_inventory, session, prepared.scope)


async def _wake_and_choose_name(kind: Kind, session: InstanceSession, journal: Journal) -> str:
    await journal.step(wake_stack, session, journal)
    return await journal.step(choose_backup_name, session, kind)


async def prune(session: InstanceSession, journal: Journal) -> list[str]:
    """Names of what keep-last-N let go of, within a bounded time; a failure is a warning, the rest goes next time."""
    bounded = journal.bounded(session.settings.workflow.prune_timeout_seconds)
    return await bounded.optional_step(prune_backups, session) or []


def unlisted(inventory: Inventory, known: list[NotSaved]) -> list[NotSaved]:
    """API groups that did not answer when the inventory was taken: whatever they hold is not in the backup."""
    said = {entry.name.partition(".")[2] for entry in known if entry.kind == "api-group"}  # ``v1.group``
    reason = "its server did not answer when the inventory was taken"
    return [
        NotSaved(kind="api-group", name=group, reason=reason) for group in inventory.failed_groups if group not in said
    ]


async def take_inventory(session: InstanceSession, scope: Scope) -> Inventory:
    """Everything the backup will have to hold, as it is just before the Backup is posted."""
    return await list_inventory(await session.kube(), scope)


async def choose_backup_name(session: InstanceSession, kind: Kind) -> str:
    """A name nothing in the bucket or the cluster uses; one second later as long as it is taken.

    What else is found in the bucket gets its row, so that the prune at the end knows of it.
    """
    stored, velero = await note_bucket_backups(session), await session.velero()
    at = datetime.now(UTC)
    while True:
        name = names.backup_name(kind, session.instance, at)
        if name not in stored and await velero.find_backup(name) is None:
            return name
        at += timedelta(seconds=1)


async def create_backup(session: InstanceSession, journal: Journal, name: str, scope: Scope) -> BackupRef:
    """Post the Backup, or adopt the one an earlier run of this very try has posted; it is on record from then on."""
    velero = await session.velero()
    backup = await velero.adopt_or_create_backup(
        name,
        scope,
        job_id=journal.job.id,
        try_number=journal.try_number,
        instance_id=session.instance_id,
        created_not_before=journal.job.created_at,
    )
    ref = BackupRef(name=name, uid=backup.uid, created_at=datetime.now(UTC))
    await journal.record(backup=name)
    kind = "full" if scope.full else "partial"
    await session.world.store.backups.save(unproven_record(session, ref, job_id=journal.job.id, scope=kind))
    return ref


async def wait_for_backup(session: InstanceSession, journal: Journal, ref: BackupRef, gate: Rules) -> None:
    """Wait by watch until Velero has ended the backup.

    Raises ``BackupFailed`` for an end that does not do, ``BackupInterrupted`` if a restart of Velero was its end.
    """
    velero = await session.velero()

    async def report(backup: Any) -> None:
        progress = backup.status.progress
        await journal.progress(
            f"backup {backup.phase or 'New'}", items_done=progress.items_backed_up, items_total=progress.total_items
        )

    timeout = gate.backup_timeout_seconds
    backup = await velero.wait_for_backup(ref.name, timeout_seconds=timeout, on_progress=report)
    enough = {phases.COMPLETED} | ({phases.PARTIALLY_FAILED} if gate.on_partial == "accept" else set())
    if backup.interrupted:
        raise BackupInterrupted(
            f"Velero was restarted while it made backup {ref.name!r}",
            remedy="The cluster runs on. See why Velero's pod ended (mostly for want of memory), and stop again.",
            backup=ref.name,
        )
    if backup.phase not in enough:
        reasons = backup.reasons or await _noted_errors(session, ref.name)
        raise BackupFailed(
            f"backup {ref.name!r} ended as {backup.phase}: {'; '.join(reasons)[:MOST_QUOTED] or backup.reason}",
            remedy="The cluster runs on. Mend what the reasons name and stop again.",
            backup=ref.name,
            phase=backup.phase,
            reasons=reasons[:MOST_REASONS],
        )


async def _noted_errors(session: InstanceSession, name: str) -> list[str]:
    """What the bucket says of a backup that went wrong; the failure is told without it if it cannot be read."""
    try:
        return await read_backup_errors(await session.objects(), name)
    except ServiceError:
        return []
