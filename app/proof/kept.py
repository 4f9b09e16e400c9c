"""Velero's own words about a backup, from the copies a proof keeps on the host: nothing is woken to read them."""

from typing import Any

from app.documents import UnreadableDocument, read_json, unpacked
from app.errors import ServiceError
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.proof.evidence import small_object
from app.storage import layout


class ReportNotKept(ServiceError):
    """No copy lies on this host."""

    code, status, title = "backup-report-not-kept", 404, "No copy of that lies on this host"


def read_logs(directory: InstanceDirectory, backup: str) -> str:
    """Velero's log of the backup."""
    return _unpacked(directory, backup, layout.logs_key(backup)).decode(errors="replace")


def read_results(directory: InstanceDirectory, backup: str) -> dict[str, Any]:
    """Errors and warnings by place."""
    return _document(directory, backup, layout.results_key(backup))


def read_resource_list(directory: InstanceDirectory, backup: str) -> dict[str, Any]:
    """Names of everything in the backup, by kind."""
    return _document(directory, backup, layout.resource_list_key(backup))


def _document(directory: InstanceDirectory, backup: str, key: str) -> dict[str, Any]:
    try:
        found = read_json(_unpacked(directory, backup, key))
    except UnreadableDocument:
        raise _unreadable(key) from None
    if not isinstance(found, dict):
        raise _unreadable(key)
    return found


def _unpacked(directory: InstanceDirectory, backup: str, key: str) -> bytes:
    content = small_object(directory, backup, key.rpartition("/")[2])
    if content is None:
        raise ReportNotKept(
            f"no copy of {key} lies on this host: the backup was never proven here",
            remedy="Wake the stack (`kecs-state stack NAME wake`) and ask with the Velero CLI.",
            backup=backup,
        )
    try:
        return unpacked(content)
    except UnreadableDocument:
        raise _unreadable(key) from None


def _unreadable(key: str) -> HostDirectoryError:
    return HostDirectoryError(
        f"this host's copy of {key} cannot be read", remedy="Validate the backup: its object in the bucket may be good."
    )
