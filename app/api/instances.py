"""Instances: what there is, what a stop would lose, and the operations on them."""

from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends

from app.api.dependencies import Accepted, Running, refuse_not_built
from app.api.errors import (
    BodyTooLarge,
    IdempotencyKeyReused,
    InvalidIdempotencyKey,
    InvalidRequest,
    MalformedBody,
    RequestInFlight,
    UnsupportedMediaType,
)
from app.api.problems import declared
from app.api.replay import refuse_key
from app.api.schemas import InstanceList, JobView
from app.db import DatabaseError
from app.errors import (
    BackupNotFound,
    ClusterAbsent,
    ClusterCommandError,
    ClusterStateUnknown,
    InstanceNotFound,
    InstanceNotRunning,
    InvalidInstanceName,
    NoRestoreOutstanding,
    NotSupported,
    OperationInProgress,
    RestoreOutstanding,
    ServiceError,
    VeleroBackupRequired,
)
from app.workflows.requests import (
    AcceptRequest,
    BackupRequest,
    InstanceView,
    PreflightView,
    RestoreRequest,
    StartRequest,
    StopRequest,
)

router = APIRouter(tags=["instances"])

_UNREADABLE = (ClusterCommandError, ClusterStateUnknown, DatabaseError)
_ANY_INSTANCE = (InstanceNotFound, InvalidInstanceName, InvalidRequest, *_UNREADABLE)
_BODY = (MalformedBody, BodyTooLarge, UnsupportedMediaType, InvalidRequest, NotSupported)

_KEYED = (InvalidIdempotencyKey, IdempotencyKeyReused, RequestInFlight)

_JOB_HEADERS = {
    "Location": {"description": "The job's path.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until a look is worth it.", "schema": {"type": "integer"}},
    "Preference-Applied": {"description": "The `Prefer` that was followed.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {"description": "`true` for the job of an earlier request.", "schema": {"type": "string"}},
}


def _operation(*errors: type[ServiceError]) -> dict[str, Any]:
    """What all routes that accept a job have in common."""
    refusals = declared(
        InstanceNotFound, InvalidInstanceName, ClusterAbsent, OperationInProgress, *_KEYED, *errors, *_UNREADABLE
    )
    return {
        "status_code": 202,
        "response_description": "Accepted as a job",
        "responses": {
            200: {"model": JobView, "description": "Ended in time (only under `Prefer: wait=N`)"},
            202: {"headers": _JOB_HEADERS},
            **refusals,
        },
    }


def _operation_with_body(*errors: type[ServiceError]) -> dict[str, Any]:
    return _operation(*_BODY, *errors) | {"dependencies": [Depends(refuse_not_built)]}


@router.get("/instances", responses=declared(*_UNREADABLE))
async def list_instances(services: Running) -> InstanceList:
    """Every instance that has a directory or a cluster."""
    return InstanceList(instances=await services.operations.list_instances())


@router.get("/instances/{name}", responses=declared(*_ANY_INSTANCE))
async def get_instance(name: str, services: Running) -> InstanceView:
    """One instance: its state, its last proven backup, its active job."""
    return await services.operations.instance(name)


@router.get("/instances/{name}/preflight", responses=declared(*_ANY_INSTANCE))
async def get_preflight(name: str, services: Running) -> PreflightView:
    """What would be refused or lost if the instance were stopped now. Changes nothing, wakes nothing."""
    return await services.operations.preflight(name)


@router.post("/instances/{name}/stop", **_operation_with_body(RestoreOutstanding, VeleroBackupRequired))
async def stop_instance(
    name: str, answer: Accepted, body: Annotated[StopRequest, Body(default_factory=StopRequest)]
) -> JobView:
    """Back up, prove the backup, then power off. Without a body: the defaults, which lose nothing."""
    return await answer.to(lambda operations: operations.submit_stop(name, body))


@router.post("/instances/{name}/start", **_operation_with_body(BackupNotFound, VeleroBackupRequired))
async def start_instance(
    name: str, answer: Accepted, body: Annotated[StartRequest, Body(default_factory=StartRequest)]
) -> JobView:
    """Power on and bring back what is not there any more."""
    return await answer.to(lambda operations: operations.submit_start(name, body))


@router.post("/instances/{name}/backups", **_operation_with_body(RestoreOutstanding, InstanceNotRunning))
async def back_up_instance(
    name: str, answer: Accepted, body: Annotated[BackupRequest, Body(default_factory=BackupRequest)]
) -> JobView:
    """Make a proven backup; the instance keeps running."""
    return await answer.to(lambda operations: operations.submit_backup(name, body))


@router.post("/instances/{name}/restores", **_operation_with_body(BackupNotFound, InstanceNotRunning))
async def restore_instance(
    name: str,
    answer: Accepted,
    body: Annotated[RestoreRequest, Body(default_factory=RestoreRequest)],
) -> JobView:
    """Restore a backup, or a part of it, into the running instance."""
    return await answer.to(lambda operations: operations.submit_restore(name, body))


@router.post(
    "/instances/{name}/restore-outstanding/accept",
    dependencies=[Depends(refuse_key)],
    responses=declared(*_ANY_INSTANCE, *_BODY, NoRestoreOutstanding, OperationInProgress),
)
async def accept_outstanding_restore(
    name: str, services: Running, body: Annotated[AcceptRequest, Body(default_factory=AcceptRequest)]
) -> InstanceView:
    """Give an outstanding restore up: go on with the instance as it is."""
    return await services.operations.accept_outstanding(name, body)


@router.post("/instances/{name}/stack/wake", **_operation(InstanceNotRunning))
async def wake_stack(name: str, answer: Accepted) -> JobView:
    """Wake Velero and MinIO in the cluster, for people with the Velero CLI; they stay awake until put to sleep."""
    return await answer.to(lambda operations: operations.submit_stack(name, "wake"))


@router.post("/instances/{name}/stack/sleep", **_operation(InstanceNotRunning))
async def put_stack_to_sleep(name: str, answer: Accepted) -> JobView:
    """Scale Velero and MinIO in the cluster to zero."""
    return await answer.to(lambda operations: operations.submit_stack(name, "sleep"))
