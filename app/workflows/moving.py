"""The story of a move: proven backups into another store, proven there, and only then used from there.

Until the switch, which is one write of the record, nothing but the target has changed; the source is never touched.
"""

from pathlib import Path
from typing import Literal

from app.concurrency import while_watching
from app.errors import BackupDamaged, ExternalStoreNotConfigured
from app.host.config import ExternalRecord, StorageRecord
from app.host.external import place_of
from app.host.instance_directory import external_document
from app.jobs.journal import Journal
from app.proof.canary import prove_bytes_on_host
from app.proof.evidence import find_proof
from app.proof.examine import examine
from app.storage.ownership import claim
from app.storage.s3 import S3Store
from app.velero.stack.manifests import MinioPlace
from app.velero.stack.minio import ask_for_minio, ensure_bucket
from app.velero.stack.probing import probe_store
from app.velero.stack.troubles import raise_on_trouble
from app.workflows.copying import copy_backup, copy_repository
from app.workflows.encryption import refuse_outside
from app.workflows.identity import record_new_instance
from app.workflows.outcomes import Outcome
from app.workflows.power import read_power, require_running
from app.workflows.preflight import check_external, require_space
from app.workflows.requests import MoveStorageRequest
from app.workflows.stack import place_on, prepare_host, provide_images, storage_record, wake_stack
from app.workflows.validation import damaged
from app.workflows.world import InstanceSession

Place = StorageRecord | ExternalRecord


class Move(Outcome):
    """What is moved from where to where; proven backups without a proof on this host stay behind."""

    source: Place
    target: Place
    backups: list[str]
    left_behind: list[str]
    size_bytes: int

    @property
    def is_there(self) -> bool:
        """Whether the target is in use already."""
        return isinstance(self.source, ExternalRecord) == isinstance(self.target, ExternalRecord)


class MoveResult(Outcome):
    """Where the backups lie now. What lay in the source lies there still."""

    noop: bool = False
    source: str
    target: str
    moved: list[str] = []
    left_behind: list[str] = []
    size_bytes: int = 0
    note: str = ""


async def move_storage(request: MoveStorageRequest, session: InstanceSession, journal: Journal) -> MoveResult:
    """Copy every proven backup into the other store, prove it there, and use that store from then on."""
    require_running(session, await read_power(session))
    move = await journal.step(plan_move, session, request.to)
    if move.is_there:
        return MoveResult(noop=True, source=describe(move.source), target=describe(move.target))
    await journal.step(prepare_target, session, move)
    await journal.step(wake_stack, session, journal)
    await journal.step(open_target, session, journal, move)
    await journal.step(copy_backups, session, journal, move)
    await journal.step(prove_copies, session, journal, move)
    await journal.step(switch_storage, session, move)
    await journal.optional_step(use_new_store, session, journal)
    return MoveResult(
        source=describe(move.source),
        target=describe(move.target),
        moved=move.backups,
        left_behind=move.left_behind,
        size_bytes=move.size_bytes,
        note=f"nothing was removed from {describe(move.source)}",
    )


async def plan_move(session: InstanceSession, to: Literal["internal", "external"]) -> Move:
    """Source, target and what is to be moved; raises where the settings know no such target."""
    if session.directory.load_config() is None:
        record_new_instance(session, await (await session.kube()).cluster_uid())
    source = await storage_record(session)
    target = await prepare_host(session) if to == "internal" else external_target(session)
    instance_id = session.instance_id
    rows = [row for row in await session.world.store.backups.kept(session.instance) if row.instance_id == instance_id]
    movable = [row for row in rows if row.status == "proven" and find_proof(session.directory, row.name)]
    names = [row.name for row in movable]
    return Move(
        source=source,
        target=target,
        backups=names[::-1],
        left_behind=[row.name for row in rows if row.name not in names],
        size_bytes=sum(row.size_bytes or 0 for row in movable),
    )


def external_target(session: InstanceSession) -> ExternalRecord:
    """This instance's part of the store that the settings name."""
    if session.settings.storage is None:
        raise not_configured()
    return place_of(session.instance, session.settings.storage)


def not_configured() -> ExternalStoreNotConfigured:
    """The problem of a move to nowhere."""
    return ExternalStoreNotConfigured(
        "no external store is configured",
        remedy="Name one with KECS_STATE_STORAGE__ENDPOINT and so on: docs/storage.md.",
    )


async def prepare_target(session: InstanceSession, move: Move) -> None:
    """Before anything is woken: the target answers this service, is free or ours, and has room."""
    if isinstance(move.target, StorageRecord):
        require_space(session, move.target, more=move.size_bytes)
        return
    refuse_outside(session.rules(), move.target)
    await check_external(session, move.target)
    await claim(await session.external_objects(move.target), session.instance_id, str(move.target))


async def open_target(session: InstanceSession, journal: Journal, move: Move) -> None:
    """The target answers Velero too; MinIO comes up for it beside the store in use."""
    kube, settings = await session.kube(), session.stack
    place = place_on(session, move.target)
    if isinstance(place, MinioPlace):
        await provide_images(session, journal, minio=True)
        address = await ask_for_minio(kube, settings, place)
        waiting = ensure_bucket(kube, settings, await session.minio())
        await while_watching(waiting, raise_on_trouble(kube, settings))
        await probe_store(kube, settings, address)
    else:
        await probe_store(kube, settings, place)


async def copy_backups(session: InstanceSession, journal: Journal, move: Move) -> int:
    """Oldest first, each held against its proof when it is there; what an earlier run has copied stays."""
    source, target = await store_at(session, move.source), await store_at(session, move.target)
    copied = 0

    async def count(size: int) -> None:
        nonlocal copied
        copied += size
        await journal.progress("copying backups", bytes_done=copied, bytes_total=move.size_bytes)

    await copy_repository(source, target, count)
    for name in move.backups:
        proof = find_proof(session.directory, name)
        if proof is None:
            raise BackupDamaged(f"the proof of {name!r} has gone from this host", backup=name)
        await copy_backup(proof, source, target, count)
    return copied


async def prove_copies(session: InstanceSession, journal: Journal, move: Move) -> None:
    """Every archive read to its end where it lies now; on this host's disk, if that is where MinIO keeps it."""
    target = await store_at(session, move.target)
    for number, name in enumerate(move.backups):
        await journal.progress("proving the copies", items_done=number, items_total=len(move.backups))
        found = await examine(name, target)
        if found.findings:
            raise damaged(name, found.findings)
    if isinstance(move.target, StorageRecord):
        canary = await prove_bytes_on_host(target, Path(move.target.host_path))
        if canary.status != "found":
            raise BackupDamaged(
                f"what is put into MinIO does not arrive in {move.target.host_path}",
                remedy="Look at the mounts of the cluster's node.",
            )


async def switch_storage(session: InstanceSession, move: Move) -> None:
    """The one write that makes the target the store in use."""
    if isinstance(move.target, ExternalRecord):
        session.directory.prepare_private(external_document(move.target, session.settings.stack))
    session.directory.update_config(storage=move.target)


async def use_new_store(session: InstanceSession, journal: Journal) -> None:
    """A stack that stays up must not go on with the old store; a sleeping one finds the new one at its next wake."""
    await wake_stack(session, journal)


async def store_at(session: InstanceSession, place: Place) -> S3Store:
    """A client of the source's or the target's store."""
    return await (session.minio() if isinstance(place, StorageRecord) else session.external_objects(place))


def describe(place: Place) -> str:
    """For people."""
    return f"MinIO in the cluster ({place.host_path})" if isinstance(place, StorageRecord) else str(place)
