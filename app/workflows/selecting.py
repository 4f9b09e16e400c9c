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
from app.workflows.restores import left_to_controllers, name_restores, run_restore
from app.workflows.world import InstanceSession


async def restore_part(backup: str, wish: RestoreOptions, session: InstanceSession, journal: Journal) -> RestoreOutcome:
    """Restore what was asked for and compare just that; what is outstanding stays so."""
    began = datetime.now(UTC)
    prefix = await journal.step(name_restores, session)
    created = await journal.step(restore_selection, session, journal, backup, prefix, wish)
    comparison = await journal.step(compare_selection, session, backup, wish)
    return RestoreOutcome(
        backup=backup,
        restores=[f"{prefix}-1"],
        created=created,
        comparison=comparison,
        seconds=age_seconds(began),
    )


async def restore_selection(
    session: InstanceSession, journal: Journal, backup: str, prefix: str, wish: RestoreOptions
) -> int:
    """The part that was asked for; gives the number of objects made."""
    archive = await session.index(backup)
    plan = selective_restore_spec(
        backup,
        namespaces=wish.namespaces,
        resources=wish.resources,
        selector=wish.selector,
        existing_resource_policy=wish.existing_resource_policy,
        left_to_controllers=left_to_controllers(archive),
        velero_namespace=session.settings.stack.namespace,
    )
    return await run_restore(session, journal, f"{prefix}-1", plan)


async def compare_selection(session: InstanceSession, backup: str, wish: RestoreOptions) -> Comparison:
    """The part that was asked for against the cluster."""
    path = await session.archive(backup)
    selected = await asyncio.to_thread(selected_keys, path, wish.selector)

    def wanted(key: ObjectKey) -> bool:
        in_namespace = not wish.namespaces or key.namespace in wish.namespaces
        in_resources = not wish.resources or bool({key.resource, key.resource.partition(".")[0]} & set(wish.resources))
        return ours_to_restore(key) and in_namespace and in_resources and selected(key)

    return as_outcome(await compare_with_backup(await session.kube(), path, wanted))


def selected_keys(path: Path, selector: str) -> Callable[[ObjectKey], bool]:
    """Whether a label selector takes an object, by the labels it has in the archive at ``path``."""
    terms = parse_selector(selector)
    if not terms:
        return lambda _key: True
    labels = ((key, found["metadata"].get("labels") or {}) for key, found in load_objects(path, lambda _key: True))
    return {key for key, having in labels if selects(terms, having)}.__contains__
