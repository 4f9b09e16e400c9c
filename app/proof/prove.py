"""The proof itself: download, hash, read, compare, find on disk."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from app.concurrency import side_by_side, together
from app.kubernetes.client import KubeClient
from app.proof.archive import Archive
from app.proof.canary import SEARCH_SECONDS, prove_bytes_on_host
from app.proof.examine import download_and_read, look_quickly, what_it_says
from app.proof.index import INDEX_FILE, write_index
from app.proof.models import CanaryResult, Finding, Inventory, InventoryItem, ObjectKey, Proof
from app.proof.stored import OnBytes, StoredBackup
from app.proof.verdict import judge, suspects, verdict_of
from app.proof.volumes import settle_volumes
from app.scratch import scratch_directory
from app.storage.s3 import S3Store
from app.velero.volumes import PodVolume

#: Findings kept by name in a proof; all of them are counted.
MOST_FINDINGS = 200
#: When more objects than this are missing, the backup is bad whatever has become of some of them.
MOST_LOOK_UPS = 2000


@dataclass(frozen=True)
class ProofRequest:
    """What is to be proven, and against what. Without a host directory the store is external, and has no canary."""

    backup: str
    backup_uid: str
    instance_id: str
    cluster_uid: str
    inventory: Inventory
    full: bool
    host_directory: Path | None
    not_saved: list[str]
    accept_partial: bool = False
    """Whether a backup that Velero ended as PartiallyFailed may do, if nothing else is wrong with it."""
    encrypted: bool = False
    """Whether the store is to encrypt what it is given."""
    volumes: list[PodVolume] = field(default_factory=list)
    """Volumes of running pods, and which of them the backup was to save."""
    canary_seconds: float = SEARCH_SECONDS
    """How long the bytes may take to arrive on the disk."""


@dataclass(frozen=True)
class _Checked:
    """What the checks gave; the proof is made of it."""

    stored: StoredBackup
    archive: Archive | None
    findings: list[Finding]
    explained: int
    warnings: int
    canary: CanaryResult
    volumes: list[PodVolume]


async def prove_backup(
    request: ProofRequest, kube: KubeClient, store: S3Store, on_bytes: OnBytes | None = None
) -> tuple[Proof, dict[str, bytes]]:
    """The proof, good or bad, and what is kept beside it: the backup's small objects and the index of its archive.

    Raises only for what is temporary.
    """
    started_at = datetime.now(UTC)
    with scratch_directory() as scratch:
        reading = download_and_read(request.backup, store, scratch, on_bytes)
        read, canary = await together(reading, _canary(request, store))
        stored, archive, damage = read
        said, warnings = await asyncio.to_thread(what_it_says, stored, archive, request.backup_uid)
        absent, explained = await _check_inventory(request.inventory, archive, kube) if archive else ([], 0)
        volumes, unsaved = settle_volumes(request.volumes, stored, archive) if archive else (request.volumes, [])
        findings = [*damage, *absent, *unsaved, *said, *_of_canary(canary, request)]
        small = await asyncio.to_thread(stored.small_objects)
        if archive is not None:
            small[INDEX_FILE] = await asyncio.to_thread(write_index, archive)
    checked = _Checked(stored, archive, findings, explained, warnings, canary, volumes)
    return _proof(request, started_at, checked), small


async def look_at_backup(request: ProofRequest, store: S3Store) -> Proof:
    """The proof that is none: names and sizes only. It is accepted at best, and says so."""
    started_at = datetime.now(UTC)
    seen = await look_quickly(request.backup, None, store, uid=request.backup_uid)
    return Proof(
        backup=request.backup,
        backup_uid=request.backup_uid,
        instance_id=request.instance_id,
        cluster_uid=request.cluster_uid,
        scope="full" if request.full else "partial",
        verdict=verdict_of(seen.findings, level="quick", accept_partial=request.accept_partial),
        level="quick",
        started_at=started_at,
        finished_at=datetime.now(UTC),
        objects=[],
        size_bytes=seen.size_bytes,
        items_in_inventory=len(request.inventory.items),
        items_in_backup=0,
        items_explained=0,
        findings=seen.findings,
        findings_total=len(seen.findings),
        canary=CanaryResult(status="n/a"),
        not_saved=request.not_saved,
    )


async def _check_inventory(inventory: Inventory, archive: Archive, kube: KubeClient) -> tuple[list[Finding], int]:
    suspicious = await asyncio.to_thread(suspects, inventory, archive)
    absent = [item for item in suspicious if item.key not in archive.items]
    return judge(suspicious, archive, await _live_uids(absent, kube))


async def _live_uids(items: list[InventoryItem], kube: KubeClient) -> dict[ObjectKey, str | None]:
    """The UID of each object that is live and not being deleted; None for the others.

    One that cannot be asked for counts as live: its group does not answer now, or there are too many.
    """
    if not items:
        return {}
    discovery = await kube.discover()
    types = {resource.group_resource: resource for resource in discovery.resources}

    async def look_up(item: InventoryItem) -> str | None:
        resource = types.get(item.key.resource)
        if resource is None:
            _, _, group = item.key.resource.partition(".")
            return item.uid if group in discovery.failed_groups else None
        found = await kube.find(resource, item.key.name, item.key.namespace or None)
        if found is None or found["metadata"].get("deletionTimestamp"):
            return None
        return str(found["metadata"]["uid"])

    asked, rest = items[:MOST_LOOK_UPS], items[MOST_LOOK_UPS:]
    uids = await side_by_side(*(look_up(item) for item in asked))
    return {item.key: uid for item, uid in zip(asked, uids, strict=True)} | {item.key: item.uid for item in rest}


async def _canary(request: ProofRequest, store: S3Store) -> CanaryResult:
    if request.host_directory is None:
        return CanaryResult(status="n/a")
    return await prove_bytes_on_host(store, request.host_directory, search_seconds=request.canary_seconds)


def _of_canary(canary: CanaryResult, request: ProofRequest) -> list[Finding]:
    if canary.status == "found" and request.encrypted and not canary.encrypted:
        return [Finding(code="clear", detail=f"bytes put into the object store lie in clear in {canary.path}")]
    if canary.status != "not-found":
        return []
    detail = f"bytes put into the object store did not arrive in {request.host_directory}"
    return [Finding(code="canary", detail=f"{detail}: {canary.how}" if canary.how else detail)]


def _proof(request: ProofRequest, started_at: datetime, checked: _Checked) -> Proof:
    unlisted = [f"api-group {group}: its server did not answer" for group in request.inventory.failed_groups]
    return Proof(
        backup=request.backup,
        backup_uid=request.backup_uid,
        instance_id=request.instance_id,
        cluster_uid=request.cluster_uid,
        scope="full" if request.full else "partial",
        verdict=verdict_of(checked.findings, level="deep", accept_partial=request.accept_partial),
        started_at=started_at,
        finished_at=datetime.now(UTC),
        objects=checked.stored.digests,
        size_bytes=sum(digest.size for digest in checked.stored.digests),
        items_in_inventory=len(request.inventory.items),
        items_in_backup=len(checked.archive.items) if checked.archive else 0,
        items_explained=checked.explained,
        findings=checked.findings[:MOST_FINDINGS],
        findings_total=len(checked.findings),
        canary=checked.canary,
        warnings=checked.warnings,
        not_saved=[*request.not_saved, *unlisted],
        volumes=checked.volumes,
    )
