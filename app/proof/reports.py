"""What Velero's own objects in the bucket say of how a backup or a restore went."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from app.documents import UnreadableDocument, read_packed_json
from app.proof.documents import messages
from app.storage import layout
from app.storage.errors import ObjectNotFound
from app.storage.s3 import S3Store

CREATED = "(created)"
_RBAC = "rbac.authorization.k8s.io"
#: Velero's words (pkg/restore/restore.go): ``error restoring roles.group/namespace/name: why``.
_NOT_RESTORED = re.compile(r"error restoring (?P<kind>[^/ ]+)/(?P<name>\S+?): ")


@dataclass(frozen=True)
class RestoreReport:
    """How many objects a restore made, and the errors it met, in Velero's words."""

    created: int
    errors: list[str]


async def read_restore_report(store: S3Store, restore: str) -> RestoreReport:
    """The report of an ended restore. Velero only logs that it could not store these objects, so each may be gone."""
    listed = await _document(store, layout.restore_resource_list_key(restore))
    results = await _document(store, layout.restore_results_key(restore))
    created = sum(str(entry).endswith(CREATED) for entries in listed.values() for entry in entries or ())
    return RestoreReport(created, list(messages(results.get("errors"))))


def refused_objects(errors: Iterable[str]) -> list[str]:
    """Objects of a restore's errors that the API server did not let Velero make, as ``roles.group ns/name``.

    A binding whose role is not there is one of them: it may be made only by who may bind any role.
    """
    refused = set()
    for error in errors:
        named = _NOT_RESTORED.match(error)
        if named and (" is forbidden: " in error or (_RBAC in named["kind"] and error.endswith(" not found"))):
            refused.add(f"{named['kind']} {named['name']}")
    return sorted(refused)


async def read_backup_errors(store: S3Store, backup: str) -> list[str]:
    """The errors of an ended backup, in Velero's words; its object in the cluster has only their number."""
    results = await _document(store, layout.results_key(backup))
    return list(messages(results.get("errors")))


async def _document(store: S3Store, key: str) -> dict[str, Any]:
    try:
        found = read_packed_json(await store.get(key))
    except (ObjectNotFound, UnreadableDocument):
        return {}
    return found if isinstance(found, dict) else {}
