"""Holding an archive against an inventory: pure, so that every rule can be tested as a table."""

from collections.abc import Mapping, Sequence
from typing import Literal

from app.proof.archive import Archive, ArchivedObject
from app.proof.models import Finding, Inventory, InventoryItem, ObjectKey

#: What follows from Velero's having met errors, which it says itself by the phase.
OF_A_PARTIAL_FAILURE = {"phase", "results", "absent", "volumes"}

Verdict = Literal["proven", "accepted", "failed"]


def verdict_of(findings: Sequence[Finding], *, level: Literal["deep", "quick"], accept_partial: bool) -> Verdict:
    """A quick look proves nothing. Damage is never accepted, nor what is missing without Velero's having said so."""
    codes = {finding.code for finding in findings}
    if not codes:
        return "proven" if level == "deep" else "accepted"
    return "accepted" if accept_partial and "phase" in codes and codes <= OF_A_PARTIAL_FAILURE else "failed"


def suspects(inventory: Inventory, archive: Archive) -> list[InventoryItem]:
    """Items that the archive does not hold, or holds in an older version; whether that is wrong depends on now."""
    found = []
    for item in inventory.items:
        archived = archive.items.get(item.key)
        if archived is None or is_stale(archived, item):
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
            findings.append(Finding(code="older", detail=detail, object=item.key))
        elif live_uids.get(item.key) == item.uid:
            detail = f"{item.key} is not in the backup, though it exists"
            findings.append(Finding(code="absent", detail=detail, object=item.key))
        else:
            explained += 1
    return findings, explained


def is_stale(archived: ArchivedObject, item: InventoryItem) -> bool:
    """Whether the archive's copy is from before the list.

    The numbers of one server only rise, also for an object that was deleted and made anew. Versions that are no
    numbers are only the same or not, which says nothing of two objects that share a name.
    """
    if archived.resource_version.isdecimal() and item.resource_version.isdecimal():
        return int(archived.resource_version) < int(item.resource_version)
    return archived.uid == item.uid and archived.resource_version != item.resource_version
