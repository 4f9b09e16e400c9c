"""Which workflow runs which type of job."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from pydantic import BaseModel

from app.jobs.journal import Journal
from app.workflows.backing_up import make_proven_backup, prune
from app.workflows.deleting import delete_one_backup
from app.workflows.migrating import migrate_instance
from app.workflows.moving import move_storage
from app.workflows.outcomes import BackupResult
from app.workflows.power import read_power, require_running
from app.workflows.rebuilding import rebuild_history
from app.workflows.requests import (
    BackupRequest,
    DeleteBackupJob,
    JobOptions,
    MigrateRequest,
    MoveStorageRequest,
    RestoreRequest,
    StartRequest,
    StopRequest,
    ValidateJob,
)
from app.workflows.stack import open_forward, sleep_stack, wake_stack
from app.workflows.start import restore_instance, start_instance
from app.workflows.stop import stop_instance
from app.workflows.validation import validate_backup
from app.workflows.world import InstanceSession, World

Runner = Callable[[Journal], Awaitable[dict[str, Any]]]
Workflow = Callable[[Any, InstanceSession, Journal], Awaitable[BaseModel]]


class StackResult(BaseModel):
    """How waking the stack or putting it to sleep ended."""

    awake: bool
    s3_url: str | None = None
    """MinIO on this machine, while the stack is awake for a person."""


async def back_up_instance(request: BackupRequest, session: InstanceSession, journal: Journal) -> BackupResult:
    """Make a proven backup and leave the instance running."""
    session.ask_ahead()
    require_running(session, await read_power(session))
    backup = await make_proven_backup("backup", request.backup, session, journal)
    return BackupResult(
        backup=backup.ref.name,
        scope="full" if backup.scope.full else "partial",
        proof=backup.proof,
        not_saved=backup.not_saved,
        volumes=backup.volumes,
        pruned=await prune(session, journal.with_try(backup.try_number)),
    )


def runners(world: World) -> Mapping[str, Runner]:
    """A runner for every type of job: it opens the instance, does the work, and gives back the job's result."""

    def runner(parse: type[BaseModel], workflow: Workflow) -> Runner:
        async def run(journal: Journal) -> dict[str, Any]:
            request = parse.model_validate(journal.job.request)
            async with InstanceSession(world, journal.job.instance) as session:
                return (await workflow(request, session, journal)).model_dump(mode="json")

        return run

    async def wake(journal: Journal) -> dict[str, Any]:
        async with InstanceSession(world, journal.job.instance) as session:
            await journal.step(wake_stack, session, journal, woken_by="user")
            # Not a step: the address is worth nothing to another process.
            return StackResult(awake=True, s3_url=await open_forward(session)).model_dump()

    async def sleep(journal: Journal) -> dict[str, Any]:
        async with InstanceSession(world, journal.job.instance) as session:
            await journal.step(sleep_stack, session, force=True)
            return StackResult(awake=False).model_dump()

    return {
        "stop": runner(StopRequest, stop_instance),
        "start": runner(StartRequest, start_instance),
        "backup": runner(BackupRequest, back_up_instance),
        "restore": runner(RestoreRequest, restore_instance),
        "validate": runner(ValidateJob, validate_backup),
        "rebuild": runner(JobOptions, rebuild_history),
        "delete-backup": runner(DeleteBackupJob, delete_one_backup),
        "migrate": runner(MigrateRequest, migrate_instance),
        "move-storage": runner(MoveStorageRequest, move_storage),
        "stack-wake": wake,
        "stack-sleep": sleep,
    }
