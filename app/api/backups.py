"""Backups of an instance. What only looks reads this host alone and wakes nothing."""

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Query, Response
from pydantic import Field

from app.api.dependencies import Accepted, Running
from app.api.errors import InvalidPageToken
from app.api.operations import ANY_INSTANCE, operation, operation_with_body
from app.api.paging import PageRequest
from app.api.problems import declared
from app.api.schemas import BackupDetail, BackupList, BackupView, JobView
from app.errors import BackupNotFound, BackupPinned, InstanceNotRunning, LastGoodBackup, RestoreOutstanding
from app.host.files import HostDirectoryError
from app.proof.kept import ReportNotKept, read_logs, read_resource_list, read_results
from app.workflows.requests import DeleteBackupJob, ValidateJob, ValidateRequest

router = APIRouter(tags=["backups"])

_ONE = (*ANY_INSTANCE, BackupNotFound)
_KEPT: dict[int | str, dict[str, Any]] = declared(*_ONE, ReportNotKept, HostDirectoryError)


class BackupFilter(PageRequest):
    """Which backups to list."""

    status: Literal["proven", "accepted", "unproven", "failed", "deleted"] | None = Field(default=None)

    @property
    def position(self) -> tuple[datetime, str] | None:
        """Time and name of the last backup of the page before."""
        if self.before is None:
            return None
        at, _, name = self.before.partition(" ")
        try:
            moment = datetime.fromisoformat(at)
        except ValueError:
            moment = None
        if moment is None or moment.tzinfo is None or not name:
            raise InvalidPageToken("the page token is not one of this list's", remedy="Begin again without page_token.")
        return moment, name


@router.get("/instances/{name}/backups", responses=declared(*ANY_INSTANCE, InvalidPageToken))
async def list_backups(name: str, services: Running, wanted: Annotated[BackupFilter, Query()]) -> BackupList:
    """Backups of the instance, newest first, deleted ones included as history."""
    position = wanted.position
    records = await services.operations.backups(name, wanted.status, before=position, limit=wanted.limit + 1)
    page = [BackupView.of(record) for record in records[: wanted.limit]]
    last = f"{page[-1].created_at.isoformat()} {page[-1].id}" if len(records) > wanted.limit else None
    return BackupList(backups=page, **wanted.next_page(f"/instances/{name}/backups", last))


@router.get("/instances/{name}/backups/{backup_id}", responses=declared(*_ONE))
async def get_backup(name: str, backup_id: str, services: Running) -> BackupDetail:
    """One backup with its proof: what was checked, object by object, with hashes."""
    record, proof = await services.operations.backup(name, backup_id)
    return BackupDetail.with_proof(record, proof)


@router.get(
    "/instances/{name}/backups/{backup_id}/logs",
    response_class=Response,
    responses=_KEPT | {200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_backup_logs(name: str, backup_id: str, services: Running) -> Response:
    """Velero's log of the backup, as read and kept on this host when it was proven."""
    directory = await services.operations.kept(name, backup_id)
    return Response(read_logs(directory, backup_id), media_type="text/plain")


@router.get("/instances/{name}/backups/{backup_id}/results", responses=_KEPT)
async def get_backup_results(name: str, backup_id: str, services: Running) -> dict[str, Any]:
    """Velero's errors and warnings by place, as read and kept on this host when it was proven."""
    return read_results(await services.operations.kept(name, backup_id), backup_id)


@router.get("/instances/{name}/backups/{backup_id}/contents", responses=_KEPT)
async def get_backup_contents(name: str, backup_id: str, services: Running) -> dict[str, Any]:
    """Velero's list of what the backup holds, by kind, as read and kept on this host when it was proven."""
    return read_resource_list(await services.operations.kept(name, backup_id), backup_id)


@router.post(
    "/instances/{name}/backups/{backup_id}/validate", **operation_with_body(BackupNotFound, InstanceNotRunning)
)
async def validate_backup(
    name: str,
    backup_id: str,
    answer: Accepted,
    body: Annotated[ValidateRequest, Body(default_factory=ValidateRequest)],
) -> JobView:
    """Check that a backup is still what was proven. One that is damaged fails the job and counts as proven no more."""
    request = ValidateJob(backup=backup_id, **body.model_dump(exclude_unset=True))
    return await answer.to(lambda operations: operations.submit_validate(name, request))


@router.put("/instances/{name}/backups/{backup_id}/pin", responses=declared(*_ONE))
async def pin_backup(name: str, backup_id: str, services: Running) -> BackupView:
    """Keep the backup whatever comes after it: neither pruned nor deleted, and not counted among those kept."""
    return BackupView.of(await services.operations.pin(name, backup_id, pinned=True))


@router.delete("/instances/{name}/backups/{backup_id}/pin", responses=declared(*_ONE))
async def unpin_backup(name: str, backup_id: str, services: Running) -> BackupView:
    """Let the backup go when newer ones are enough."""
    return BackupView.of(await services.operations.pin(name, backup_id, pinned=False))


@router.delete(
    "/instances/{name}/backups/{backup_id}",
    **operation(BackupNotFound, InstanceNotRunning, LastGoodBackup, RestoreOutstanding, BackupPinned),
)
async def delete_backup(
    name: str,
    backup_id: str,
    answer: Accepted,
    force: Annotated[bool, Query(description="Even the last good one.")] = False,  # noqa: FBT002 - a query parameter
) -> JobView:
    """Delete a backup for good, from the bucket, the cluster and this host."""
    request = DeleteBackupJob(backup=backup_id, force=force)
    return await answer.to(lambda operations: operations.submit_delete(name, request))
