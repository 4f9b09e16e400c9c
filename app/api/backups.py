"""Backups of an instance, read from this host alone: looking at them wakes nothing."""

from fastapi import APIRouter

from app.api.dependencies import Running
from app.api.errors import InvalidRequest
from app.api.problems import declared
from app.api.schemas import BackupDetail, BackupList, BackupView
from app.db import DatabaseError
from app.errors import BackupNotFound, ClusterCommandError, ClusterStateUnknown, InstanceNotFound, InvalidInstanceName

router = APIRouter(tags=["backups"])

_ERRORS = (
    InstanceNotFound,
    InvalidInstanceName,
    InvalidRequest,
    ClusterCommandError,
    ClusterStateUnknown,
    DatabaseError,
)


@router.get("/instances/{name}/backups", responses=declared(*_ERRORS))
async def list_backups(name: str, services: Running) -> BackupList:
    """Every backup of the instance, newest first, deleted ones included as history."""
    records = await services.operations.backups(name)
    return BackupList(backups=[BackupView.of(record) for record in records])


@router.get("/instances/{name}/backups/{backup_id}", responses=declared(*_ERRORS, BackupNotFound))
async def get_backup(name: str, backup_id: str, services: Running) -> BackupDetail:
    """One backup with its proof: what was checked, object by object, with hashes."""
    record, proof = await services.operations.backup(name, backup_id)
    return BackupDetail.with_proof(record, proof)
