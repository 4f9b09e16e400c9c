"""Bringing a whole backup back: the story of a full restore and its steps."""

import json
from datetime import UTC, datetime

from app.jobs.journal import Journal, age_seconds
from app.kubernetes.resources import DEPLOYMENTS
from app.proof.comparison import compare_with_backup
from app.proof.models import ObjectKey
from app.velero.restoring import (
    WEBHOOK_KINDS,
    everything_spec,
    update_deployments_spec,
    webhooks_spec,
)
from app.workflows.archives import choose_backup, ours_to_restore
from app.workflows.checking import compare_content, settle_outstanding
from app.workflows.kecs_server import hold_kecs_server, release_kecs_server
from app.workflows.outcomes import Decision, RestoredWebhooks, RestoreOutcome
from app.workflows.requests import RerunTasks, RestoreOptions
from app.workflows.restored_volumes import carriers, check_volumes, prepare_volumes
from app.workflows.restores import left_to_controllers, name_restores, run_restore
from app.workflows.selecting import restore_part
from app.workflows.stack import wake_stack
from app.workflows.tasks import (
    left_out_tasks,
    list_duplicate_tasks,
    list_rerun_tasks,
    list_tasks_not_run,
    remove_ended_tasks,
    rerun_policy,
    wanted_objects,
)
from app.workflows.webhooks import ready_webhooks
from app.workflows.workloads import wait_for_workloads
from app.workflows.world import InstanceSession

KECS_MANAGED = ("kecs.dev/managed-by", "kecs")


async def restore(
    decision: Decision, wish: RestoreOptions, session: InstanceSession, journal: Journal
) -> RestoreOutcome:
    """Restore a backup whole or in part, wait until it runs, and compare what came back."""
    assert decision.backup is not None  # noqa: S101 - the caller restores only with one
    await journal.step(wake_stack, session, journal)
    exactly = wish.backup_id is not None
    backup = await journal.step(choose_backup, session, journal, decision.backup, exactly=exactly)
    await journal.record(backup=backup)
    if decision.action == "selective":
        return await restore_part(backup, wish, session, journal)
    return await restore_whole(backup, wish, session, journal)


async def restore_whole(
    backup: str, wish: RestoreOptions, session: InstanceSession, journal: Journal
) -> RestoreOutcome:
    """The three Restores of a full restore, with KECS's own server out of the way of the first two."""
    began, rerun = datetime.now(UTC), rerun_policy(session, wish)
    await journal.step(prepare_volumes, session, backup)
    prefix = await journal.step(name_restores, session)
    await journal.step(hold_kecs_server, session)
    if rerun == "keep":
        await journal.step(remove_ended_tasks, session, backup, power_was_off=False)
    created = await journal.step(restore_everything, session, journal, backup, prefix, rerun)
    overwritten = await journal.step(update_poorer_deployments, session, journal, backup, prefix)
    await journal.step(release_kecs_server, session)
    not_ready = await journal.step(wait_for_workloads, session)
    webhooks = await journal.step(restore_webhooks, session, journal, backup, prefix)
    comparison = await journal.step(compare_content, session, backup, rerun)
    wanted = wanted_objects(await session.index(backup), rerun)
    comparison, volumes = await check_volumes(session, journal, backup, wanted, comparison)
    await journal.step(settle_outstanding, session, journal, backup, comparison)
    return RestoreOutcome(
        backup=backup,
        restores=[f"{prefix}-1"] + [f"{prefix}-2"] * bool(overwritten) + [f"{prefix}-3"] * webhooks.ran,
        created=created + webhooks.created,
        comparison=comparison,
        rerun_tasks=await journal.step(list_rerun_tasks, session, backup),
        tasks_not_run=await journal.step(list_tasks_not_run, session, backup, rerun, power_was_off=False),
        duplicate_tasks=await journal.step(list_duplicate_tasks, session, backup),
        volumes=volumes,
        overwritten=overwritten,
        workloads_not_ready=not_ready,
        webhooks_left_out=webhooks.left_out,
        seconds=age_seconds(began),
    )


async def restore_everything(
    session: InstanceSession, journal: Journal, backup: str, prefix: str, rerun: RerunTasks
) -> int:
    """Everything but webhook configurations; what a controller of the backup will make is left to it."""
    archive = await session.index(backup)
    made = await carriers(session, archive, backup)
    left = [*left_to_controllers(archive, made), *left_out_tasks(archive, rerun)]
    plan = everything_spec(backup, left, velero_namespace=session.settings.stack.namespace)
    return await run_restore(session, journal, f"{prefix}-1", plan)


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


async def restore_webhooks(session: InstanceSession, journal: Journal, backup: str, prefix: str) -> RestoredWebhooks:
    """Webhook configurations last, and only those that would not reject everything."""
    archive = await session.index(backup)
    wanted = [key for key in archive.items if key.resource in WEBHOOK_KINDS and ours_to_restore(key)]
    ready, left_out = await ready_webhooks(session, await session.archive(backup), set(wanted))
    plan = webhooks_spec(backup, ready)
    created = await run_restore(session, journal, f"{prefix}-3", plan) if plan is not None else 0
    return RestoredWebhooks(ran=plan is not None, created=created, left_out=[str(key) for key in left_out])
