"""The story of a migration: what would be lost, a proven backup, and only then the switch. And the way back."""

from datetime import UTC, datetime

from pydantic import BaseModel

from app.errors import MigrationIncomplete, NotMigrated
from app.host.config import MigrationRecord
from app.host.ecs_state import DuckdbNotInstalled
from app.jobs.journal import Journal
from app.ports import PowerState
from app.proof.coverage import compare_with_index, words
from app.proof.index import find_index
from app.workflows.backing_up import make_proven_backup, prune
from app.workflows.checking import MOST_LISTED
from app.workflows.ecs_view import view_cluster
from app.workflows.migration import KecsSide, kecs_side
from app.workflows.outcomes import Outcome, ProofSummary, ProvenBackup
from app.workflows.power import read_power, require_running
from app.workflows.requests import BackupOptions, MigrateRequest
from app.workflows.rollout import choose_velero
from app.workflows.world import InstanceSession

#: Whatever the policy says: only a proof is worth the switch.
PROVEN = BackupOptions(validate="deep", on_partial="fail")


class MigrationCheck(BaseModel):
    """KECS's side against the new backup."""

    source: str
    as_of: datetime | None
    covered: int
    missing: list[str]
    extra: list[str]


class MigrateResult(Outcome):
    """How a migration, or its way back, ended."""

    switched: bool
    use_velero_backup: bool | None
    """What the instance's policy says now."""
    reason: str
    backup: str | None = None
    proof: ProofSummary | None = None
    checked: MigrationCheck | None = None


async def migrate_instance(request: MigrateRequest, session: InstanceSession, journal: Journal) -> MigrateResult:
    """Prove a backup that holds all KECS tells of, then let the instance's policy say that Velero is used.

    Nothing is switched before; whatever fails leaves the policy as it was, and the same request goes on from there.
    """
    if request.back:
        previous = await journal.step(switch_back, session)
        return MigrateResult(switched=False, use_velero_backup=previous, reason="the policy is as it was before")
    require_running(session, await read_power(session))
    told = await journal.step(ask_kecs, session, journal)
    backup = await make_proven_backup("backup", PROVEN, session, journal)
    await prune(session, journal.with_try(backup.try_number))
    await journal.record(backup=backup.ref.name)
    if backup.unprotected_because:
        raise unfit(session, backup)
    checked = await journal.step(check_coverage, session, told, backup.ref.name)
    if checked.missing:
        if not request.accept_missing:
            raise incomplete(session, backup.ref.name, checked)
        await journal.warn(
            "not-in-backup", f"{len(checked.missing)} are not in {backup.ref.name}", missing=checked.missing
        )
    await journal.step(switch_policy, session, backup.ref.name)
    return MigrateResult(
        switched=True,
        use_velero_backup=True,
        reason="the instance's policy says that Velero is used",
        backup=backup.ref.name,
        proof=backup.proof,
        checked=checked,
    )


async def ask_kecs(session: InstanceSession, journal: Journal) -> KecsSide:
    """KECS's side, before the backup; without the reader of its store it is the running cluster's, with a warning."""
    try:
        side = await kecs_side(session, PowerState.RUNNING)
    except DuckdbNotInstalled as error:
        await journal.warn(error.code, f"{error.detail}; the running cluster was asked instead", remedy=error.remedy)
        return KecsSide(state=await view_cluster(session), source="cluster", as_of=datetime.now(UTC), notes=[])
    for note in side.notes:
        await journal.warn(note.code, note.detail)
    return side


async def check_coverage(session: InstanceSession, told: KecsSide, backup: str) -> MigrationCheck:
    """What the new backup holds of it; its list lies on the host as soon as it is proven."""
    index = find_index(session.directory, backup) or await session.index(backup)
    entries = compare_with_index(told.state.objects, index)

    def names(status: str) -> list[str]:
        return [words(entry.kind, entry.cluster, entry.name) for entry in entries if entry.status == status][
            :MOST_LISTED
        ]

    covered = sum(entry.status == "covered" for entry in entries)
    return MigrationCheck(
        source=told.source, as_of=told.as_of, covered=covered, missing=names("missing"), extra=names("extra")
    )


async def switch_policy(session: InstanceSession, backup: str) -> None:
    """One write: the policy, and what it said before. Switched already, the first word stays the way back."""
    config = session.directory.update_config()
    previous = config.migration.previous if config.migration is not None else config.policy.use_velero_backup
    session.directory.update_config(
        policy=config.policy.model_copy(update={"use_velero_backup": True}),
        migration=MigrationRecord(at=datetime.now(UTC), backup=backup, previous=previous),
    )


async def switch_back(session: InstanceSession) -> bool | None:
    """Give the policy back what it said; refused where the rollout's stage would then refuse every stop."""
    config = session.directory.load_config()
    if config is None or config.migration is None:
        raise NotMigrated(
            f"instance {session.instance!r} was not migrated, so there is no way back to go",
            remedy=f"Migrate it with POST /instances/{session.instance}/migration.",
            instance_name=session.instance,
        )
    previous = config.migration.previous
    changed = config.model_copy(
        update={"policy": config.policy.model_copy(update={"use_velero_backup": previous}), "migration": None}
    )
    choose_velero(session.settings, changed, wish=None)
    session.directory.save_config(changed)
    return previous


def unfit(session: InstanceSession, backup: ProvenBackup) -> MigrationIncomplete:
    """The problem of a backup that the instance's own policy narrows."""
    return MigrationIncomplete(
        f"{backup.ref.name} does not stand for the instance: {backup.unprotected_because}; the policy is unchanged",
        remedy=f"Let its policy exclude nothing (PUT /instances/{session.instance}/policy), then migrate again.",
        instance_name=session.instance,
        backup=backup.ref.name,
    )


def incomplete(session: InstanceSession, backup: str, checked: MigrationCheck) -> MigrationIncomplete:
    """The problem of a backup that lacks something, with all of its names."""
    return MigrationIncomplete(
        f"KECS tells of {len(checked.missing)} that {backup} does not hold: {', '.join(checked.missing[:5])}; "
        "the policy is unchanged",
        remedy="What is not in the cluster either, only KECS's own restoration can make: restart kecs-server and "
        "migrate again, delete it in ECS, or accept the loss with accept_missing.",
        instance_name=session.instance,
        backup=backup,
        missing=checked.missing,
    )
