"""Rows of backups: of those we make, and of those that no row tells of yet.

A database may be lost, and a bucket may hold what no job of ours has made. Proofs on the host bring their rows back;
everything else that is found is ``unproven``: listed, restored only by its name, pruned only if it is ours.
"""

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.documents import read_json
from app.errors import ServiceError
from app.history.retention import OnHost
from app.host.config import ExternalRecord
from app.host.instance_directory import InstanceDirectory
from app.jobs.models import BackupRecord
from app.names import INSTANCE_NAME
from app.proof.evidence import is_pinned, list_proofs, names_with_evidence
from app.proof.models import Proof
from app.storage import layout
from app.storage.errors import ObjectNotFound
from app.storage.s3 import S3Store
from app.velero.models import INSTANCE_ID_LABEL, JOB_LABEL, SCOPE_LABEL, parse_backup
from app.workflows.outcomes import BackupRef, ProofSummary
from app.workflows.world import InstanceSession, World

log = logging.getLogger(__name__)


def unproven_record(session: InstanceSession, ref: BackupRef, *, job_id: str, scope: str) -> BackupRecord:
    """The row of a backup just begun, so that nothing in the bucket is ever forgotten."""
    return BackupRecord(
        host=session.world.store.host,
        instance=session.instance,
        name=ref.name,
        instance_id=session.instance_id,
        job_id=job_id,
        scope=scope,
        status="unproven",
        created_at=ref.created_at,
    )


def record_of_proof(
    world: World, instance: str, proof: Proof, *, created_at: datetime, job_id: str | None = None
) -> BackupRecord:
    """The row of a proven or accepted backup, with its proof's figures."""
    return BackupRecord(
        host=world.store.host,
        instance=instance,
        name=proof.backup,
        instance_id=proof.instance_id,
        job_id=job_id,
        scope=proof.scope,
        status=proof.verdict,
        created_at=created_at,
        size_bytes=proof.size_bytes,
        items=proof.items_in_backup or None,
        seconds=(proof.finished_at - created_at).total_seconds(),
        proven_at=proof.finished_at if proof.verdict == "proven" else None,
        proof=ProofSummary.of(proof).model_dump(mode="json"),
    )


async def recall_backups(world: World, instance: str) -> None:
    """Rows for what the host alone tells: kept proofs, and directories of backups where the store is MinIO."""
    directory = InstanceDirectory.open(world.settings.instances_directory, instance)
    proofs = await asyncio.to_thread(list_proofs, directory)
    known = await world.store.backups.recorded(instance, {proof.backup for proof in proofs})
    for proof in proofs:
        if proof.verdict != "failed" and proof.backup not in known:
            record = record_of_proof(world, instance, proof, created_at=proof.started_at)
            record.pinned = is_pinned(directory, proof.backup)
            await world.store.backups.save(record)
    config = directory.load_config()
    if config is not None and isinstance(config.storage, ExternalRecord):
        return  # what lies on this host was left there by a move
    stored = await asyncio.to_thread(_stored_on_host, directory, world.settings.stack.bucket)
    known = await world.store.backups.recorded(instance, {path.name for path in stored})
    for path in stored:
        if path.name not in known:
            made_at = datetime.fromtimestamp(path.stat().st_mtime, UTC)
            await world.store.backups.save(_found(world, instance, path.name, scope="unknown", created_at=made_at))


async def look_on_host(world: World, instance: str) -> OnHost | None:
    """What the directory of an instance tells of its backups; None where there is none (any more)."""
    directory = InstanceDirectory.open(world.settings.instances_directory, instance)
    if not directory.exists():
        return None
    stored = await asyncio.to_thread(_stored_on_host, directory, world.settings.stack.bucket)
    evidence = await asyncio.to_thread(names_with_evidence, directory)
    due: set[str | None] = set()
    if (config := directory.load_config()) is not None:
        due = {config.restore_outstanding, config.restore_pending}
        due.add(config.migration.backup if config.migration is not None else None)
    return OnHost(
        due=frozenset(name for name in due if name is not None),
        present=frozenset([*evidence, *(path.name for path in stored)]),
    )


def _stored_on_host(directory: InstanceDirectory, bucket: str) -> list[Path]:
    """MinIO keeps each object as a directory of that path; other stores show nothing here."""
    backups = directory.minio_directory / bucket / "backups"
    return [path for path in sorted(backups.glob("*")) if path.is_dir() and not path.is_symlink()]


async def note_bucket_backups(session: InstanceSession) -> set[str]:
    """The names of all backups in the bucket, each of which has a row from now on; the stack must be awake.

    A deleted one that was put back whole is no longer deleted; parts that were left of it change nothing. Objects are
    listed and not directories: some stores go on listing those that are empty (SeaweedFS, for a while).
    """
    store, backups = await session.objects(), session.world.store.backups
    keys = {stored.key for stored in await store.list_objects("backups/")}
    stored = {layout.backup_name_of(key) for key in keys}
    whole = {name for name in stored if layout.metadata_key(name) in keys}
    kept = {row.name: row for row in await backups.kept(session.instance)}
    known = {name for name, row in kept.items() if row.scope != "unknown"}
    left_over = await backups.recorded(session.instance, stored - kept.keys() - whole)
    for name in sorted(stored - known - left_over):
        await backups.save(await _of_bucket(session, store, name))
    return stored


async def _of_bucket(session: InstanceSession, store: S3Store, name: str) -> BackupRecord:
    """What the bucket's own metadata say; without any it is rubbish of an upload that was cut off, and of nobody."""
    try:
        document: dict[str, Any] = read_json(await store.get(layout.metadata_key(name)))
        metadata = parse_backup(document).metadata
    except (ObjectNotFound, ValueError):
        return _found(session.world, session.instance, name, scope="unknown", created_at=datetime.now(UTC))
    labels, scope = metadata.labels, metadata.labels.get(SCOPE_LABEL)
    return _found(
        session.world,
        session.instance,
        name,
        scope=scope if scope in {"full", "partial"} else "unknown",
        created_at=metadata.creation_timestamp or datetime.now(UTC),
        instance_id=labels.get(INSTANCE_ID_LABEL, ""),
        job_id=labels.get(JOB_LABEL),
    )


def _found(
    world: World,
    instance: str,
    name: str,
    *,
    scope: str,
    created_at: datetime,
    instance_id: str = "",
    job_id: str | None = None,
) -> BackupRecord:
    return BackupRecord(
        host=world.store.host,
        instance=instance,
        name=name,
        instance_id=instance_id,
        job_id=job_id,
        scope=scope,
        status="unproven",
        pinned=is_pinned(InstanceDirectory.open(world.settings.instances_directory, instance), name),
        created_at=created_at,
    )


async def list_other_backups(session: InstanceSession) -> list[str]:
    """Backups of this instance that no start restores by itself, newest first; nothing is woken for it."""
    await recall_backups(session.world, session.instance)
    return [row.name for row in await session.world.store.backups.kept(session.instance)]


async def newer_accepted(session: InstanceSession, backup: str) -> list[str]:
    """Full backups that were only accepted and are newer than this one, newest first."""
    rows = [row for row in await session.world.store.backups.kept(session.instance) if row.scope == "full"]
    names = [row.name for row in rows]
    newer = rows[: names.index(backup)] if backup in names else []
    return [row.name for row in newer if row.status == "accepted"]


async def recall_all(world: World) -> None:
    """The rows of every instance that has a directory; one that cannot be read is the trouble of its own jobs."""
    for name in instances_on_host(world):
        try:
            await recall_backups(world, name)
        except (ServiceError, OSError) as error:
            log.warning("backups of %s could not be recalled: %s", name, error, extra={"action": "recall-backups"})


def instances_on_host(world: World) -> Iterator[str]:
    """Names of the instances that have a directory."""
    directory = world.settings.instances_directory
    names = sorted(path.name for path in directory.iterdir() if path.is_dir()) if directory.is_dir() else []
    yield from (name for name in names if INSTANCE_NAME.match(name))
