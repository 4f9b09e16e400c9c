"""A history that was lost: told again by the proofs on the host and by what lies in the bucket."""

from app.jobs.journal import Journal
from app.workflows.outcomes import Outcome
from app.workflows.power import read_power, require_running
from app.workflows.records import note_bucket_backups, recall_backups
from app.workflows.requests import JobOptions
from app.workflows.stack import wake_stack
from app.workflows.validation import note_damage
from app.workflows.world import InstanceSession


class RebuildResult(Outcome):
    """Every backup of the instance by what it counts as now, newest first."""

    proven: list[str]
    accepted: list[str]
    unproven: list[str]
    gone: list[str]
    """Known, but not in the bucket any more; they count as unproven from now on."""


async def rebuild_history(_request: JobOptions, session: InstanceSession, journal: Journal) -> RebuildResult:
    """Rows for every backup that proofs or the bucket tell of; ``unproven`` where no proof lies."""
    require_running(session, await read_power(session))
    await journal.step(wake_stack, session, journal)
    return await journal.step(read_history, session)


async def read_history(session: InstanceSession) -> RebuildResult:
    """Proofs first: what they tell of, the bucket need not be asked about."""
    store = session.world.store.backups
    await recall_backups(session.world, session.instance)
    stored = await note_bucket_backups(session)
    rows = await store.kept(session.instance)
    gone = [row.name for row in rows if row.name not in stored]
    for name in gone:
        await note_damage(session, name)
    by_status: dict[str, list[str]] = {"proven": [], "accepted": [], "unproven": []}
    for row in rows:
        if row.name in stored:
            by_status[row.status].append(row.name)
    return RebuildResult(**by_status, gone=gone)
