"""The proof itself: download, hash, read, compare, find on disk."""

import asyncio
import gzip
import json
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app import phases
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import Resource
from app.proof.archive import Archive, ArchiveDamaged, read_archive
from app.proof.canary import prove_bytes_on_host
from app.proof.models import CanaryResult, Finding, Inventory, InventoryItem, ObjectKey, Proof, StoredDigest
from app.proof.verdict import judge, suspects
from app.storage import layout
from app.storage.errors import ObjectDamaged, ObjectNotFound
from app.storage.s3 import S3Store

#: Objects up to this size are kept on the host beside the proof; the archive itself is not.
SMALL_BYTES = 4 * 1024 * 1024
LOOK_UPS_AT_ONCE = 16


@dataclass(frozen=True)
class ProofRequest:
    """What is to be proven, and against what."""

    backup: str
    backup_uid: str
    instance_id: str
    cluster_uid: str
    inventory: Inventory
    full: bool
    host_directory: Path | None
    not_saved: list[str]


async def prove_backup(request: ProofRequest, kube: KubeClient, store: S3Store) -> tuple[Proof, dict[str, bytes]]:
    """The proof, good or bad, and the backup's small objects for keeping. Raises only for what is temporary."""
    started_at = datetime.now(UTC)
    with tempfile.TemporaryDirectory(prefix="kecs-state-proof-") as scratch:
        digests, findings = await _download(request.backup, store, Path(scratch))
        files = {digest.key: Path(scratch) / _name(digest.key) for digest in digests}
        findings += _check_metadata(request, files)
        findings += _check_results(request.backup, files)
        archive, damage = await _read(request.backup, files)
        findings += damage
        missing, explained = await _check_inventory(request, archive, kube) if archive else ([], 0)
        findings += missing
        canary = await _canary(request, store)
        if canary.status == "not-found":
            findings.append(
                Finding(code="canary", detail=f"bytes put into MinIO did not arrive in {request.host_directory}")
            )
        small = {
            path.name: path.read_bytes()
            for path in files.values()
            if path.stat().st_size <= SMALL_BYTES and path.name != _name(layout.contents_key(request.backup))
        }
    return _proof(request, started_at, digests, archive, findings, explained, canary), small


async def rehash(proof: Proof, store: S3Store) -> list[Finding]:
    """Hold the bucket against a proof's hashes: every object is downloaded again."""
    with tempfile.TemporaryDirectory(prefix="kecs-state-proof-") as scratch:
        digests, findings = await _download(proof.backup, store, Path(scratch))
    now = {digest.key: digest.sha256 for digest in digests}
    for kept in proof.objects:
        if kept.key not in now:
            findings.append(Finding(code="missing", detail=f"{kept.key} is gone"))
        elif now[kept.key] != kept.sha256:
            findings.append(Finding(code="hash", detail=f"{kept.key} is not what was proven"))
    return findings


async def _download(backup: str, store: S3Store, scratch: Path) -> tuple[list[StoredDigest], list[Finding]]:
    digests, findings = [], []
    for stored in await store.list_objects(layout.backup_prefix(backup)):
        try:
            download = await store.download(stored.key, scratch / _name(stored.key))
        except (ObjectDamaged, ObjectNotFound) as error:
            findings.append(Finding(code="contents", detail=error.detail))
            continue
        digests.append(StoredDigest(key=stored.key, size=download.size, sha256=download.sha256))
    return digests, findings


def _name(key: str) -> str:
    return key.rsplit("/", 1)[-1]


def _check_metadata(request: ProofRequest, files: dict[str, Path]) -> list[Finding]:
    """The bucket's own word: another cluster only has this one."""
    path = files.get(layout.metadata_key(request.backup))
    if path is None:
        return [Finding(code="missing", detail="velero-backup.json is not in the bucket")]
    try:
        document = json.loads(path.read_bytes())
        metadata, phase = document["metadata"], document["status"]["phase"]
        named = (metadata["name"], metadata["uid"])
    except (ValueError, KeyError, TypeError):
        return [Finding(code="metadata", detail="velero-backup.json is not a Backup")]
    findings = []
    if phase != phases.COMPLETED:
        findings.append(Finding(code="phase", detail=f"the bucket says the backup is {phase}, not {phases.COMPLETED}"))
    if named != (request.backup, request.backup_uid):
        findings.append(Finding(code="identity", detail="velero-backup.json belongs to another backup"))
    return findings


def _check_results(backup: str, files: dict[str, Path]) -> list[Finding]:
    """Every small object must be there and readable; errors in the results, or unfinished volumes, are findings."""
    findings: list[Finding] = []
    results = _unpacked(layout.results_key(backup), files, findings)
    if isinstance(results, dict) and any((results.get("errors") or {}).values()):
        findings.append(Finding(code="results", detail=f"Velero noted errors: {json.dumps(results['errors'])[:300]}"))
    for volume in _unpacked(layout.pod_volume_backups_key(backup), files, findings) or []:
        phase = (volume.get("status") or {}).get("phase")
        if phase != phases.COMPLETED:
            findings.append(Finding(code="volumes", detail=f"a volume backup is {phase}: {volume['metadata']['name']}"))
    for key in (layout.resource_list_key(backup), layout.volume_info_key(backup)):
        _unpacked(key, files, findings)
    if layout.logs_key(backup) not in files:
        findings.append(Finding(code="missing", detail=f"{layout.logs_key(backup)} is not in the bucket"))
    return findings


def _unpacked(key: str, files: dict[str, Path], findings: list[Finding]) -> Any:
    path = files.get(key)
    if path is None:
        findings.append(Finding(code="missing", detail=f"{key} is not in the bucket"))
        return None
    try:
        return json.loads(gzip.decompress(path.read_bytes()))
    except (OSError, EOFError, ValueError):
        findings.append(Finding(code="contents", detail=f"{key} is not gzipped JSON"))
        return None


async def _read(backup: str, files: dict[str, Path]) -> tuple[Archive | None, list[Finding]]:
    path = files.get(layout.contents_key(backup))
    if path is None:
        return None, [Finding(code="missing", detail="the archive is not in the bucket")]
    try:
        return await asyncio.to_thread(read_archive, path), []
    except ArchiveDamaged as error:
        return None, [Finding(code="contents", detail=error.detail)]


async def _check_inventory(request: ProofRequest, archive: Archive, kube: KubeClient) -> tuple[list[Finding], int]:
    suspicious = suspects(request.inventory, archive)
    live = await _live_uids([item for item in suspicious if item.key not in archive.items], kube)
    return judge(suspicious, archive, live)


async def _live_uids(items: list[InventoryItem], kube: KubeClient) -> dict[ObjectKey, str | None]:
    """The UID of each object that is live and not being deleted; None for the others."""
    if not items:
        return {}
    types = {resource.group_resource: resource for resource in (await kube.discover()).resources}
    gate = asyncio.Semaphore(LOOK_UPS_AT_ONCE)

    async def look_up(key: ObjectKey) -> str | None:
        resource: Resource | None = types.get(key.resource)
        if resource is None:
            return None
        async with gate:
            found = await kube.find(resource, key.name, key.namespace or None)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        return str(found["metadata"]["uid"])

    uids = await asyncio.gather(*(look_up(item.key) for item in items))
    return {item.key: uid for item, uid in zip(items, uids, strict=True)}


async def _canary(request: ProofRequest, store: S3Store) -> CanaryResult:
    if request.host_directory is None:
        return CanaryResult(status="n/a")
    return await prove_bytes_on_host(store, request.host_directory)


def _proof(
    request: ProofRequest,
    started_at: datetime,
    digests: list[StoredDigest],
    archive: Archive | None,
    findings: list[Finding],
    explained: int,
    canary: CanaryResult,
) -> Proof:
    return Proof(
        backup=request.backup,
        backup_uid=request.backup_uid,
        instance_id=request.instance_id,
        cluster_uid=request.cluster_uid,
        scope="full" if request.full else "partial",
        verdict="failed" if findings else "proven",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        objects=digests,
        size_bytes=sum(digest.size for digest in digests),
        items_in_inventory=len(request.inventory.items),
        items_in_backup=len(archive.items) if archive else 0,
        items_explained=explained,
        findings=findings,
        canary=canary,
        not_saved=request.not_saved,
    )
