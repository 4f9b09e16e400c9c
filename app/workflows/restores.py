"""One Restore of Velero's: posted or adopted, waited for, and its report read."""

from collections.abc import Collection
from datetime import UTC, datetime

from app import phases
from app.errors import RestoreFailed
from app.jobs.journal import Journal
from app.proof.archive import Archive
from app.proof.models import ObjectKey
from app.proof.reports import read_restore_report, refused_objects
from app.velero.restoring import RESTORED_THOUGH_CONTROLLED, RestorePlan
from app.velero.stack.rbac import allow_restoring
from app.workflows.checking import MOST_LISTED
from app.workflows.world import InstanceSession

#: Velero's own messages quoted in a warning.
MOST_QUOTED = 3
MOST_NAMED = 5
MOST_QUOTED_CHARACTERS = 300


async def name_restores(session: InstanceSession) -> str:
    """What the names of this job's Restores begin with."""
    return f"restore-{session.instance}-{datetime.now(UTC):%Y%m%d%H%M%S}"


def left_to_controllers(archive: Archive, carriers: Collection[ObjectKey]) -> list[ObjectKey]:
    """What a controller that comes back will make by itself, so that no Restore may make it too.

    ``carriers`` are made all the same, since the data of volumes comes back in them; their controllers adopt them.
    """
    return [
        key
        for key, item in archive.items.items()
        if archive.has_controller_of(item) and key.resource not in RESTORED_THOUGH_CONTROLLED and key not in carriers
    ]


async def run_restore(session: InstanceSession, journal: Journal, name: str, plan: RestorePlan) -> int:
    """Post one Restore, wait for its end, and give the number of objects it made.

    Errors of single objects are a warning that quotes them; a Restore that did not run is ``RestoreFailed``.
    """
    velero = await session.velero()
    kinds = {key.resource for key in (await session.index(str(plan.spec["backupName"]))).items}
    await allow_restoring(await session.kube(), session.settings.stack, kinds)
    await velero.create_restore(name, plan, job_id=journal.job.id)
    timeout = session.rules().restore_timeout_seconds

    async def report(found: object) -> None:
        progress = found.status.progress  # type: ignore[attr-defined]
        await journal.progress(name, items_done=progress.items_restored, items_total=progress.total_items)

    ended = await velero.wait_for_restore(name, timeout_seconds=timeout, on_progress=report)
    if ended.phase not in {phases.COMPLETED, phases.PARTIALLY_FAILED}:
        raise RestoreFailed(f"restore {name!r} ended as {ended.phase}: {ended.reason}", restore=name)
    said = await read_restore_report(await session.objects(), name)
    if ended.phase == phases.PARTIALLY_FAILED:
        quoted = "; ".join(error[:MOST_QUOTED_CHARACTERS] for error in said.errors[:MOST_QUOTED])
        detail = f"{name}: Velero noted {ended.status.errors} errors" + (f", the first: {quoted}" if quoted else "")
        await journal.warn("restore-partially-failed", detail, restore=name)
        await _warn_of_refused(journal, name, refused_objects(said.errors))
    return said.created


async def _warn_of_refused(journal: Journal, name: str, refused: list[str]) -> None:
    if refused:
        await journal.warn(
            "restore-forbidden",
            f"{name}: Velero's account may not make {len(refused)} objects: {', '.join(refused[:MOST_NAMED])}",
            restore=name,
            objects=refused[:MOST_LISTED],
            remedy="Let the service run with KECS_STATE_STACK__RBAC=cluster-admin and start again, or make them "
            "yourself and start again.",
        )
