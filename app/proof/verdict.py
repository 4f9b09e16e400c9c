"""Holding an archive against an inventory: pure, so that every rule can be tested as a table."""

from collections.abc import Mapping

from app.proof.archive import Archive
from app.proof.models import Finding, Inventory, InventoryItem, ObjectKey


def suspects(inventory: Inventory, archive: Archive) -> list[InventoryItem]:
    """Items that the archive does not hold, or holds in an older version; whether that is wrong depends on now."""
    found = []
    for item in inventory.items:
        archived = archive.items.get(item.key)
        if archived is None or is_older(archived.resource_version, item.resource_version):
            found.append(item)
    return found


def judge(
    suspicious: list[InventoryItem], archive: Archive, live_uids: Mapping[ObjectKey, str | None]
) -> tuple[list[Finding], int]:
    """Findings, and the number of suspects explained by the present.

    ``live_uids`` has the UID of each suspect that is live and not being deleted, else None. An object fails the
    proof if it is absent although still live with the same UID, or if the archive's copy is older than the list's.
    """
    findings, explained = [], 0
    for item in suspicious:
        archived = archive.items.get(item.key)
        if archived is not None:
            detail = (
                f"{item.key} is in the backup as of version {archived.resource_version}, "
                f"but had version {item.resource_version} before"
            )
            if archived.uid == item.uid:
                findings.append(Finding(code="older", detail=detail))
            else:
                explained += 1  # deleted and made anew between the list and the backup
        elif live_uids.get(item.key) == item.uid:
            findings.append(Finding(code="absent", detail=f"{item.key} is not in the backup, though it exists"))
        else:
            explained += 1
    return findings, explained


def is_older(archived: str, listed: str) -> bool:
    """Whether an archived resourceVersion is lower; versions that are no numbers are only the same or not."""
    if archived.isdigit() and listed.isdigit():
        return int(archived) < int(listed)
    return archived != listed
