"""Bringing a backup back: the steps of full, selective and repairing restores."""

import json
from datetime import UTC, datetime

from app import phases
from app.errors import RestoreFailed
from app.jobs.journal import Journal, age_seconds
from app.kubernetes.resources import DEPLOYMENTS
from app.proof.archive import Archive
from app.proof.comparison import ContentComparison, compare_with_backup
from app.proof.models import ObjectKey
from app.velero.restoring import (
    KECS_WEBHOOK,
    RESTORED_THOUGH_CONTROLLED,
    WEBHOOK_KINDS,
    RestorePlan,
    everything_spec,
    repair_spec,
    selective_restore_spec,
    update_deployments_spec,
    webhooks_spec,
)
from app.workflows.archives import choose_backup, read
from app.workflows.kecs_server import hold_kecs_server, release_kecs_server
from app.workflows.outcomes import Comparison, Decision, DifferingObject, NotRestorable, RestoreOutcome
from app.workflows.requests import RestoreOptions
from app.workflows.stack import wake_stack
from app.workflows.webhooks import ready_webhooks
from app.workflows.workloads import wait_for_workloads
from app.workflows.world import InstanceSession

KECS_MANAGED = ("kecs.dev/managed-by", "kecs")
MOST_LISTED = 200


async def restore(
    decision: Decision, wish: RestoreOptions, session: InstanceSession, journal: Journal
) -> RestoreOutcome:
    """Restore a backup whole or in part, wait until it runs, and compare what came back."""
    assert decision.backup is not None  # noqa: S101 - the caller restores only with one
    began = datetime.now(UTC)
    await journal.step(wake_stack, session, journal)
    exactly = wish.backup_id is not None
    backup = await journal.step(choose_backup, session, journal, decision.backup, exactly=exactly)
    await journal.record(backup=backup)
    prefix = await journal.step(name_restores, session)
    if decision.action == "selective":
        await journal.step(restore_selection, session, journal, backup, prefix, wish)
        comparison = await journal.step(compare_selection, session, backup, wish)
        return RestoreOutcome(
            backup=backup, restores=[f"{prefix}-1"], comparison=comparison, seconds=age_seconds(began)
        )
    await journal.step(hold_kecs_server, session)
    await journal.step(restore_everything, session, journal, backup, prefix)
    overwritten = await journal.step(update_poorer_deployments, session, journal, backup, prefix)
    await journal.step(release_kecs_server, session)
    not_ready = await journal.step(wait_for_workloads, session)
    left_out = await journal.step(restore_webhooks, session, journal, backup, prefix)
    comparison = await journal.step(compare_content, session, backup)
    await journal.step(settle_outstanding, session, journal, backup, comparison)
    return RestoreOutcome(
        backup=backup,
        restores=[f"{prefix}-{number}" for number in (1, 2, 3)],
        comparison=comparison,
        rerun_tasks=await journal.step(list_rerun_tasks, session, backup),
        overwritten=overwritten,
        workloads_not_ready=not_ready,
        webhooks_left_out=left_out,
        seconds=age_seconds(began),
    )


async def repair(backup: str, session: InstanceSession, journal: Journal) -> RestoreOutcome:
    """Bring back exactly what a survived cluster has lost, by name."""
    began = datetime.now(UTC)
    await journal.step(wake_stack, session, journal)
    backup = await journal.step(choose_backup, session, journal, backup, exactly=True)
    await journal.record(backup=backup)
    prefix = await journal.step(name_restores, session)
    missing = await journal.step(restore_missing, session, journal, backup, prefix)
    not_ready = await journal.step(wait_for_workloads, session)
    comparison = await journal.step(compare_content, session, backup)
    await journal.step(settle_outstanding, session, journal, backup, comparison)
    return RestoreOutcome(
        backup=backup,
        restores=[f"{prefix}-1"] if missing else [],
        created=len(missing),
        comparison=comparison,
        rerun_tasks=[name for name in missing if name.startswith("pods ")],
        workloads_not_ready=not_ready,
        seconds=age_seconds(began),
    )


async def name_restores(session: InstanceSession) -> str:
    """What the names of this job's Restores begin with."""
    return f"restore-{session.instance}-{datetime.now(UTC):%Y%m%d%H%M%S}"


async def restore_everything(session: InstanceSession, journal: Journal, backup: str, prefix: str) -> None:
    """Everything but webhook configurations; what a controller of the backup will make is left to it."""
    archive = await read(session, backup)
    left = [
        key
        for key, item in archive.items.items()
        if archive.has_controller_of(item) and key.resource not in RESTORED_THOUGH_CONTROLLED
    ]
    plan = everything_spec(backup, left, velero_namespace=session.settings.stack.namespace)
    await run_restore(session, journal, f"{prefix}-1", plan)


async def update_poorer_deployments(session: InstanceSession, journal: Journal, backup: str, prefix: str) -> list[str]:
    """Bring KECS's own Deployments to the backed-up content where KECS made poorer ones first.

    What is overwritten is kept on the host, below ``overwritten/``.
    """
    kube = await session.kube()
    outcome = await compare_with_backup(
        kube, await session.archive(backup), lambda key: key.resource == DEPLOYMENTS.group_resource
    )
    poorer = []
    for key, _fields in outcome.differing:
        live = await kube.find(DEPLOYMENTS, key.name, key.namespace)
        if live is not None and (live["metadata"].get("labels") or {}).get(KECS_MANAGED[0]) == KECS_MANAGED[1]:
            _keep_overwritten(session, prefix, key, live)
            poorer.append(key)
    plan = update_deployments_spec(backup, poorer)
    if plan is not None:
        await run_restore(session, journal, f"{prefix}-2", plan)
    return [str(key) for key in poorer]


def _keep_overwritten(session: InstanceSession, prefix: str, key: ObjectKey, live: dict[str, object]) -> None:
    folder = session.directory.path / "overwritten" / prefix
    session.directory.make(folder)
    session.directory.write(folder / f"{key.namespace}.{key.name}.json", json.dumps(live, indent=1).encode())


async def restore_webhooks(session: InstanceSession, journal: Journal, backup: str, prefix: str) -> list[str]:
    """Webhook configurations last, and only those that would not reject everything; gives the ones left out."""
    archive = await read(session, backup)
    wanted = [key for key in archive.items if key.resource in WEBHOOK_KINDS and key.name != KECS_WEBHOOK]
    ready, left_out = await ready_webhooks(session, await session.archive(backup), set(wanted))
    plan = webhooks_spec(backup, ready)
    if plan is not None:
        await run_restore(session, journal, f"{prefix}-3", plan)
    return [str(key) for key in left_out]


async def restore_missing(session: InstanceSession, journal: Journal, backup: str, prefix: str) -> list[str]:
    """Restore by name what the backup has and the cluster has not; gives what was missing."""
    outcome = await compare_with_backup(await session.kube(), await session.archive(backup), _ours_to_restore)
    if outcome.missing:
        await run_restore(session, journal, f"{prefix}-1", repair_spec(backup, outcome.missing))
    return [str(key) for key in outcome.missing]


async def restore_selection(
    session: InstanceSession, journal: Journal, backup: str, prefix: str, wish: RestoreOptions
) -> None:
    """The part that was asked for."""
    archive = await read(session, backup)
    left = [
        key
        for key, item in archive.items.items()
        if archive.has_controller_of(item) and key.resource not in RESTORED_THOUGH_CONTROLLED
    ]
    plan = selective_restore_spec(
        backup,
        namespaces=wish.namespaces,
        resources=wish.resources,
        selector=wish.selector,
        existing_resource_policy=wish.existing_resource_policy,
        left_to_controllers=left,
        velero_namespace=session.settings.stack.namespace,
    )
    await run_restore(session, journal, f"{prefix}-1", plan)


async def run_restore(session: InstanceSession, journal: Journal, name: str, plan: RestorePlan) -> None:
    """Post one Restore and wait for its end; errors of single objects are a warning, an unrun one is a failure."""
    velero = await session.velero()
    await velero.create_restore(name, plan, job_id=journal.job.id)
    timeout = session.settings.workflow.restore_timeout_seconds

    async def report(found: object) -> None:
        progress = found.status.progress  # type: ignore[attr-defined]
        await journal.progress(name, items_done=progress.items_restored, items_total=progress.total_items)

    ended = await velero.wait_for_restore(name, timeout_seconds=timeout, on_progress=report)
    if ended.phase == phases.PARTIALLY_FAILED:
        await journal.warn(
            "restore-partially-failed", f"{name}: Velero noted {ended.status.errors} errors", restore=name
        )
    elif ended.phase != phases.COMPLETED:
        raise RestoreFailed(f"restore {name!r} ended as {ended.phase}: {ended.reason}", restore=name)


async def compare_content(session: InstanceSession, backup: str) -> Comparison:
    """The whole backup against the cluster."""
    return as_outcome(await compare_with_backup(await session.kube(), await session.archive(backup), _ours_to_restore))


async def compare_selection(session: InstanceSession, backup: str, wish: RestoreOptions) -> Comparison:
    """The selected part against the cluster; a label selector is not looked into and narrows nothing here."""

    def wanted(key: ObjectKey) -> bool:
        in_namespace = not wish.namespaces or key.namespace in wish.namespaces
        in_resources = not wish.resources or bool({key.resource, key.resource.partition(".")[0]} & set(wish.resources))
        return _ours_to_restore(key) and in_namespace and in_resources and not wish.selector

    return as_outcome(await compare_with_backup(await session.kube(), await session.archive(backup), wanted))


def _ours_to_restore(key: ObjectKey) -> bool:
    return not (key.resource in WEBHOOK_KINDS and key.name == KECS_WEBHOOK)


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
    config = session.directory.load_config()
    if not comparison.missing and config is not None and config.restore_outstanding == backup:
        session.directory.update_config(restore_outstanding=None, outstanding_also_missing=[])


async def list_rerun_tasks(session: InstanceSession, backup: str) -> list[str]:
    """Pods without a controller that were brought back: they run once more from their beginning."""
    archive = await read(session, backup)
    return [str(key) for key in archive.items if key.resource == "pods" and _is_naked(archive, key)]


def _is_naked(archive: Archive, key: ObjectKey) -> bool:
    item = archive.items[key]
    return not item.controller and not item.not_restorable


async def list_other_backups(session: InstanceSession) -> list[str]:
    """Backups known for this instance that no start restores by itself."""
    return [
        record.name for record in await session.world.store.list_backups(session.instance) if record.status != "deleted"
    ]
