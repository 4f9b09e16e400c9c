"""A selective restore: a part of a backup, into a cluster that keeps the rest of what it has."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from app.jobs.journal import Journal, age_seconds
from app.proof.archive import load_objects
from app.proof.comparison import compare_with_backup
from app.proof.models import ObjectKey
from app.velero.restoring import selective_restore_spec
from app.velero.selectors import parse_selector, selects
from app.workflows.archives import ours_to_restore
from app.workflows.checking import as_outcome
from app.workflows.outcomes import Comparison, RestoreOutcome
from app.workflows.requests import RestoreOptions
from app.workflows.restored_volumes import carriers, check_volumes, prepare_volumes, replaced_volumes
from app.workflows.restores import left_to_controllers, name_restores, run_restore
from app.workflows.world import InstanceSession


async def restore_part(backup: str, wish: RestoreOptions, session: InstanceSession, journal: Journal) -> RestoreOutcome:
    """Restore what was asked for and compare just that; what is outstanding stays so."""
    began = datetime.now(UTC)
    await journal.step(prepare_volumes, session, backup)
    prefix = await journal.step(name_restores, session)
    created = await journal.step(restore_selection, session, journal, backup, prefix, wish)
    wanted = await selection(session, backup, wish)
    comparison = await journal.step(compare_selection, session, backup, wanted)
    comparison, volumes = await check_volumes(session, journal, backup, wanted, comparison)
    return RestoreOutcome(
        backup=backup,
        restores=[f"{prefix}-1"],
        created=created,
        comparison=comparison,
        volumes=volumes,
        seconds=age_seconds(began),
    )


async def restore_selection(
    session: InstanceSession, journal: Journal, backup: str, prefix: str, wish: RestoreOptions
) -> int:
    """The part that was asked for; gives the number of objects made."""
    archive = await session.index(backup)
    made = await carriers(session, archive, backup)
    plan = selective_restore_spec(
        backup,
        namespaces=wish.namespaces,
        resources=wish.resources,
        selector=wish.selector,
        existing_resource_policy=wish.existing_resource_policy,
        left_to_controllers=left_to_controllers(archive, made),
        velero_namespace=session.settings.stack.namespace,
    )
    return await run_restore(session, journal, f"{prefix}-1", plan)


async def compare_selection(session: InstanceSession, backup: str, wanted: Callable[[ObjectKey], bool]) -> Comparison:
    """The part that was asked for against the cluster."""
    return as_outcome(await compare_with_backup(await session.kube(), await session.archive(backup), wanted))


async def selection(session: InstanceSession, backup: str, wish: RestoreOptions) -> Callable[[ObjectKey], bool]:
    """Whether an object of the backup was asked for."""
    selected = await asyncio.to_thread(selected_keys, await session.archive(backup), wish.selector)
    replaced = await replaced_volumes(session, backup)

    def wanted(key: ObjectKey) -> bool:
        in_namespace = not wish.namespaces or key.namespace in wish.namespaces
        in_resources = not wish.resources or bool({key.resource, key.resource.partition(".")[0]} & set(wish.resources))
        return ours_to_restore(key) and in_namespace and in_resources and selected(key) and key not in replaced

    return wanted


def selected_keys(path: Path, selector: str) -> Callable[[ObjectKey], bool]:
    """Whether a label selector takes an object, by the labels it has in the archive at ``path``."""
    terms = parse_selector(selector)
    if not terms:
        return lambda _key: True
    labels = ((key, found["metadata"].get("labels") or {}) for key, found in load_objects(path, lambda _key: True))
    return {key for key, having in labels if selects(terms, having)}.__contains__
