"""What every route that accepts a job declares, and what routes about one instance can answer."""

from typing import Any

from fastapi import Depends

from app.api.dependencies import refuse_not_built
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
from app.api.schemas import JobView
from app.db import DatabaseError
from app.errors import (
    ClusterAbsent,
    ClusterCommandError,
    ClusterStateUnknown,
    InstanceNotFound,
    InvalidInstanceName,
    NotSupported,
    OperationInProgress,
    ServiceError,
)

UNREADABLE = (ClusterCommandError, ClusterStateUnknown, DatabaseError)
ANY_INSTANCE = (InstanceNotFound, InvalidInstanceName, InvalidRequest, *UNREADABLE)
BODY = (MalformedBody, BodyTooLarge, UnsupportedMediaType, InvalidRequest, NotSupported)

_KEYED = (InvalidIdempotencyKey, IdempotencyKeyReused, RequestInFlight)

_JOB_HEADERS = {
    "Location": {"description": "The job's path.", "schema": {"type": "string"}},
    "Retry-After": {"description": "Seconds until a look is worth it.", "schema": {"type": "integer"}},
    "Preference-Applied": {"description": "The `Prefer` that was followed.", "schema": {"type": "string"}},
    "Idempotency-Replayed": {"description": "`true` for the job of an earlier request.", "schema": {"type": "string"}},
}


def operation(*errors: type[ServiceError]) -> dict[str, Any]:
    """What all routes that accept a job have in common."""
    refusals = declared(
        InstanceNotFound, InvalidInstanceName, ClusterAbsent, OperationInProgress, *_KEYED, *errors, *UNREADABLE
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


def operation_with_body(*errors: type[ServiceError]) -> dict[str, Any]:
    return operation(*BODY, *errors) | {"dependencies": [Depends(refuse_not_built)]}
