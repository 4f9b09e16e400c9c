"""Looking at a stored backup without a cluster to hold it against."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

from app.proof.archive import Archive, ArchiveDamaged, read_archive
from app.proof.documents import (
    check_metadata,
    check_resource_list,
    check_rest,
    check_results,
    check_volumes,
    judge_metadata,
)
from app.proof.models import Finding, Frozen, Proof
from app.proof.stored import OnBytes, StoredBackup, download_backup
from app.scratch import scratch_directory
from app.storage import layout
from app.storage.errors import ObjectNotFound
from app.storage.s3 import S3Store


class Examination(Frozen):
    """What was seen of a backup; without findings it is good."""

    proven: bool
    """Whether there was a proof to hold it against."""
    objects: int
    size_bytes: int
    items: int | None = None
    findings: list[Finding] = []


async def look_quickly(backup: str, proof: Proof | None, store: S3Store, *, uid: str | None = None) -> Examination:
    """Names and sizes of the objects, and whether the bucket's own Backup says it is complete."""
    listed = {stored.key: stored.size for stored in await store.list_objects(layout.backup_prefix(backup))}
    findings = _unlike_the_proof(proof, listed) if proof is not None else _without_archive(backup, listed)
    try:
        findings += judge_metadata(await store.get(layout.metadata_key(backup)), backup, uid)
    except ObjectNotFound:
        findings.append(Finding(code="missing", detail="velero-backup.json is not in the bucket"))
    return Examination(
        proven=proof is not None, objects=len(listed), size_bytes=sum(listed.values()), findings=findings
    )


def _without_archive(backup: str, listed: dict[str, int]) -> list[Finding]:
    there = listed.get(layout.contents_key(backup))
    return [] if there else [Finding(code="missing", detail="the archive is not in the bucket, or is empty")]


def _unlike_the_proof(proof: Proof, listed: dict[str, int]) -> list[Finding]:
    findings = []
    for kept in proof.objects:
        if kept.key not in listed:
            findings.append(Finding(code="missing", detail=f"{kept.key} is gone"))
        elif listed[kept.key] != kept.size:
            detail = f"{kept.key} has {listed[kept.key]} bytes, {kept.size} were proven"
            findings.append(Finding(code="contents", detail=detail))
    return findings


async def rehashed(proof: Proof, store: S3Store, on_bytes: OnBytes | None = None) -> Examination:
    """Every object downloaded again and held against the proof's hashes."""
    with scratch_directory() as scratch:
        stored = await download_backup(proof.backup, store, scratch, on_bytes)
    now = {digest.key: digest.sha256 for digest in stored.digests}
    findings = list(stored.findings)
    for kept in proof.objects:
        if kept.key not in now:
            findings.append(Finding(code="missing", detail=f"{kept.key} is gone"))
        elif now[kept.key] != kept.sha256:
            findings.append(Finding(code="hash", detail=f"{kept.key} is not what was proven"))
    return _seen(stored, findings, proven=True, items=proof.items_in_backup)


async def examine(backup: str, store: S3Store, on_bytes: OnBytes | None = None) -> Examination:
    """Every object read to its end, for a backup nobody has proven: it can be restored, if not what it should hold."""
    with scratch_directory() as scratch:
        stored, archive, damage = await download_and_read(backup, store, scratch, on_bytes)
        said, _ = await asyncio.to_thread(what_it_says, stored, archive, None)
        findings = [*said, *damage]
    return _seen(stored, findings, proven=False, items=len(archive.items) if archive else None)


async def download_and_read(
    backup: str, store: S3Store, scratch: Path, on_bytes: OnBytes | None = None
) -> tuple[StoredBackup, Archive | None, list[Finding]]:
    """A backup's objects on this machine's disk, and its archive's index unless that is damaged."""
    stored = await download_backup(backup, store, scratch, on_bytes)
    path = stored.files.get(layout.contents_key(backup))
    if path is None:
        return stored, None, [Finding(code="missing", detail="the archive is not in the bucket")]
    stored.read.add(layout.contents_key(backup))
    try:
        return stored, await asyncio.to_thread(read_archive, path), []
    except ArchiveDamaged as error:
        return stored, None, [Finding(code="contents", detail=error.detail)]


def what_it_says(stored: StoredBackup, archive: Archive | None, uid: str | None) -> tuple[list[Finding], int]:
    """Findings in the backup's own documents, and the number of Velero's warnings; unpacks, so run it in a thread."""
    findings = [*check_metadata(stored, uid), *check_resource_list(stored, archive), *check_volumes(stored)]
    errors, warnings = check_results(stored)
    return [*findings, *errors, *check_rest(stored), *stored.findings], warnings


def _seen(stored: StoredBackup, findings: Sequence[Finding], *, proven: bool, items: int | None) -> Examination:
    return Examination(
        proven=proven,
        objects=len(stored.digests),
        size_bytes=sum(digest.size for digest in stored.digests),
        items=items,
        findings=list(findings),
    )
