"""Holding the cluster against a backup after a restore, and what follows for a restore that was due."""

from app.jobs.journal import Journal
from app.proof.comparison import ContentComparison, compare_with_backup
from app.workflows.outcomes import Comparison, DifferingObject, NotRestorable
from app.workflows.requests import RerunTasks
from app.workflows.restored_volumes import replaced_volumes
from app.workflows.tasks import wanted_objects
from app.workflows.world import InstanceSession

MOST_LISTED = 200


async def compare_content(session: InstanceSession, backup: str, rerun: RerunTasks) -> Comparison:
    """The whole backup against the cluster, but for tasks that were left out on purpose."""
    wanted, replaced = wanted_objects(await session.index(backup), rerun), await replaced_volumes(session, backup)
    archive = await session.archive(backup)
    found = await compare_with_backup(await session.kube(), archive, lambda key: wanted(key) and key not in replaced)
    return as_outcome(found)


def as_outcome(found: ContentComparison) -> Comparison:
    """A comparison as the job shows it."""
    return Comparison(
        compared=found.compared,
        equal=found.equal,
        missing=[str(key) for key in found.missing],
        differing=[
            DifferingObject(object=str(key), fields=[field.__dict__ for field in fields])
            for key, fields in found.differing[:MOST_LISTED]
        ],
        not_restorable=[NotRestorable(object=str(key), reason=reason) for key, reason in found.not_restorable],
        left_to_controller=len(found.left_to_controller),
        ignored=dict(found.ignored),
    )


async def settle_outstanding(session: InstanceSession, journal: Journal, backup: str, comparison: Comparison) -> None:
    """Clear what was outstanding only if every restorable object exists; other fields are a warning."""
    if comparison.differing:
        names = ", ".join(each.object for each in comparison.differing[:5])
        await journal.warn("objects-differ", f"{len(comparison.differing)} objects came back different: {names}")
    if not comparison.missing:
        clear_outstanding(session, backup)


def clear_outstanding(session: InstanceSession, backup: str) -> None:
    """The state in this backup is there; a restore of another one stays due."""
    config = session.directory.load_config()
    if config is not None and config.restore_outstanding == backup:
        session.directory.update_config(restore_outstanding=None, outstanding_also_missing=[])
