"""Instances: what there is, what a stop would lose, and the operations on them."""

from typing import Annotated

from fastapi import APIRouter, Body, Depends

from app.api.dependencies import Accepted, Running
from app.api.operations import ANY_INSTANCE, BODY, UNREADABLE, operation, operation_with_body
from app.api.problems import declared
from app.api.replay import refuse_key
from app.api.schemas import InstanceList, JobView
from app.errors import (
    BackupNotFound,
    ExternalStoreNotConfigured,
    InstanceNotRunning,
    InsufficientStorage,
    NoRestoreOutstanding,
    OperationInProgress,
    RestoreOutstanding,
    StepTimeout,
    VeleroBackupRequired,
)
from app.host.ecs_state import DuckdbNotInstalled, StateStoreUnreadable
from app.host.files import HostDirectoryError
from app.host.kecs_store import StateStoreInUse
from app.workflows.migration import MigrationView
from app.workflows.requests import (
    AcceptRequest,
    BackupRequest,
    InstanceView,
    JobOptions,
    MigrateRequest,
    MoveStorageRequest,
    PreflightView,
    RestoreRequest,
    StartRequest,
    StopRequest,
)

router = APIRouter(tags=["instances"])
_READING = (DuckdbNotInstalled, InsufficientStorage, StepTimeout, HostDirectoryError)


@router.get("/instances", responses=declared(*UNREADABLE))
async def list_instances(services: Running) -> InstanceList:
    """Every instance that has a directory or a cluster."""
    return InstanceList(instances=await services.operations.list_instances())


@router.get("/instances/{name}", responses=declared(*ANY_INSTANCE))
async def get_instance(name: str, services: Running) -> InstanceView:
    """One instance: its state, its last proven backup, its active job."""
    return await services.operations.instance(name)


@router.get("/instances/{name}/preflight", responses=declared(*ANY_INSTANCE))
async def get_preflight(name: str, services: Running) -> PreflightView:
    """What would be refused or lost if the instance were stopped now. Changes nothing, wakes nothing."""
    return await services.operations.preflight(name)


@router.post("/instances/{name}/stop", **operation_with_body(RestoreOutstanding, VeleroBackupRequired))
async def stop_instance(
    name: str, answer: Accepted, body: Annotated[StopRequest, Body(default_factory=StopRequest)]
) -> JobView:
    """Back up, prove the backup, then power off. Without a body: the defaults, which lose nothing."""
    return await answer.to(lambda operations: operations.submit_stop(name, body))


@router.post("/instances/{name}/start", **operation_with_body(BackupNotFound, VeleroBackupRequired))
async def start_instance(
    name: str, answer: Accepted, body: Annotated[StartRequest, Body(default_factory=StartRequest)]
) -> JobView:
    """Power on and bring back what is not there any more."""
    return await answer.to(lambda operations: operations.submit_start(name, body))


@router.post("/instances/{name}/backups", **operation_with_body(RestoreOutstanding, InstanceNotRunning))
async def back_up_instance(
    name: str, answer: Accepted, body: Annotated[BackupRequest, Body(default_factory=BackupRequest)]
) -> JobView:
    """Make a proven backup; the instance keeps running."""
    return await answer.to(lambda operations: operations.submit_backup(name, body))


@router.post("/instances/{name}/restores", **operation_with_body(BackupNotFound, InstanceNotRunning))
async def restore_instance(
    name: str,
    answer: Accepted,
    body: Annotated[RestoreRequest, Body(default_factory=RestoreRequest)],
) -> JobView:
    """Restore a backup, or a part of it, into the running instance."""
    return await answer.to(lambda operations: operations.submit_restore(name, body))


@router.post(
    "/instances/{name}/move-storage",
    **operation_with_body(ExternalStoreNotConfigured, InstanceNotRunning, HostDirectoryError),
)
async def move_storage(
    name: str,
    answer: Accepted,
    body: Annotated[MoveStorageRequest, Body(default_factory=MoveStorageRequest)],
) -> JobView:
    """Copy the proven backups into the external store, or back; prove them there, and use that store from then on."""
    return await answer.to(lambda operations: operations.submit_move(name, body))


@router.post(
    "/instances/{name}/restore-outstanding/accept",
    dependencies=[Depends(refuse_key)],
    responses=declared(*ANY_INSTANCE, *BODY, NoRestoreOutstanding, OperationInProgress),
)
async def accept_outstanding_restore(
    name: str, services: Running, body: Annotated[AcceptRequest, Body(default_factory=AcceptRequest)]
) -> InstanceView:
    """Give an outstanding restore up: go on with the instance as it is."""
    return await services.operations.accept_outstanding(name, body)


@router.get(
    "/instances/{name}/migration", responses=declared(*ANY_INSTANCE, StateStoreInUse, StateStoreUnreadable, *_READING)
)
async def get_migration(name: str, services: Running) -> MigrationView:
    """Every ECS cluster, service and running task that KECS tells of, against the newest proven backup.

    KECS's DuckDB store is read from a copy, in a process of its own. Where it cannot be read, the running cluster's
    own view stands in for it. Changes nothing, wakes nothing.
    """
    return await services.operations.migration(name)


@router.post("/instances/{name}/migration", **operation_with_body(RestoreOutstanding, InstanceNotRunning))
async def migrate_instance(
    name: str, answer: Accepted, body: Annotated[MigrateRequest, Body(default_factory=MigrateRequest)]
) -> JobView:
    """Leave KECS's own restoration behind: report, back up and prove, then switch the instance's policy. Or go back."""
    return await answer.to(lambda operations: operations.submit_migrate(name, body))


@router.post("/instances/{name}/rebuild", **operation_with_body(InstanceNotRunning))
async def rebuild_history(
    name: str, answer: Accepted, body: Annotated[JobOptions, Body(default_factory=JobOptions)]
) -> JobView:
    """List the backups anew from the proofs on this host and from the bucket, after the database was lost."""
    return await answer.to(lambda operations: operations.submit_rebuild(name, body))


@router.post("/instances/{name}/stack/wake", **operation(InstanceNotRunning))
async def wake_stack(name: str, answer: Accepted) -> JobView:
    """Wake Velero and MinIO in the cluster, for people with the Velero CLI; they stay awake until put to sleep."""
    return await answer.to(lambda operations: operations.submit_stack(name, "wake"))


@router.post("/instances/{name}/stack/sleep", **operation(InstanceNotRunning))
async def put_stack_to_sleep(name: str, answer: Accepted) -> JobView:
    """Scale Velero and MinIO in the cluster to zero."""
    return await answer.to(lambda operations: operations.submit_stack(name, "sleep"))
