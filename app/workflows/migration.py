"""The migration report: what KECS tells of, held against the newest proven backup. Changes nothing, wakes nothing."""

import asyncio
from collections import Counter
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from app.concurrency import in_thread_until_cancelled
from app.host.ecs_state import EcsObject, EcsState, read_duckdb, unreadable
from app.host.kecs_store import Generation, generations_present, store_trouble
from app.host.state_copies import StateCopy, list_copies, unfold_duckdb
from app.jobs.models import BackupRecord
from app.ports import PowerState
from app.proof.archive import Archive
from app.proof.coverage import CoverageEntry, compare_with_index, key_of, words
from app.proof.index import find_index
from app.proof.models import ObjectKey
from app.scratch import scratch_directory
from app.workflows.ecs_view import list_finished, view_cluster
from app.workflows.identity import newest_proven
from app.workflows.world import InstanceSession

Source = Literal["store", "copy", "cluster", "none"]


class MigrationNote(BaseModel):
    """Something that limits what the report says."""

    code: Literal[
        "store-not-readable-here",
        "both-generations",
        "no-store",
        "no-copy-yet",
        "tasks-ended",
        "no-backup",
        "no-index",
    ]
    detail: str


class MigrationView(BaseModel):
    """Every ECS cluster, service and running task that KECS tells of, against the newest proven backup."""

    instance_name: str
    generations: list[Generation] = Field(description="KECS's stores on the host; the first is the one it uses.")
    source: Source = Field(
        description="Where KECS's side comes from: its `store` while the cluster is off, the newest `copy` of it while "
        "it runs, or the running `cluster`; `none`: nothing could be asked."
    )
    as_of: datetime | None = Field(description="The moment of KECS's side.")
    backup: str | None = Field(description="The newest proven backup.")
    proven_at: datetime | None
    switched: bool = Field(description="Whether the instance's own policy says that Velero is used.")
    complete: bool = Field(description="Nothing is missing, and there were two sides to compare.")
    covered: int
    missing: int
    extra: int
    entries: list[CoverageEntry]
    notes: list[MigrationNote]


class KecsSide(BaseModel):
    """What KECS tells of, from where and of when."""

    state: EcsState
    source: Source
    as_of: datetime | None
    notes: list[MigrationNote]


async def report_migration(session: InstanceSession, power: PowerState) -> MigrationView:
    """The report by what is there now; raises where a store should be readable and is not."""
    side = await kecs_side(session, power)
    record = await _newest_record(session)
    index = await asyncio.to_thread(find_index, session.directory, record.name) if record is not None else None
    notes = side.notes + _backup_notes(record, index)
    entries = await asyncio.to_thread(compare_with_index, side.state.objects, index or Archive({}, ""))
    counts = Counter(entry.status for entry in entries)
    config = session.directory.load_config()
    return MigrationView(
        instance_name=session.instance,
        generations=generations_present(session.directory),
        source=side.source,
        as_of=side.as_of,
        backup=record.name if record is not None else None,
        proven_at=record.proven_at if record is not None else None,
        switched=bool(config and config.policy.use_velero_backup),
        complete=index is not None and side.source != "none" and not counts["missing"],
        covered=counts["covered"],
        missing=counts["missing"],
        extra=counts["extra"],
        entries=entries,
        notes=notes,
    )


async def kecs_side(session: InstanceSession, power: PowerState) -> KecsSide:
    """KECS's DuckDB store where it can be read, else the running cluster's view, with the reason."""
    present = generations_present(session.directory)
    off = power is PowerState.STOPPED
    notes = [_both(present)] if len(present) > 1 else []
    if present[:1] == ["duckdb"] and off:
        as_of = datetime.fromtimestamp((session.directory.data / "kecs.db").lstat().st_mtime, UTC)
        return KecsSide(state=await read_store(session, None), source="store", as_of=as_of, notes=notes)
    copy = newest_duckdb_copy(session)
    if present[:1] == ["duckdb"] and copy is not None:
        state = await read_store(session, copy)
        if power is PowerState.RUNNING:
            state, ended = without_ended(state, await list_finished(session))
            notes += [_ended_since(ended)] * bool(ended)
        return KecsSide(state=state, source="copy", as_of=copy.taken_at, notes=notes)
    notes.append(_why_not_read(present, session))
    if power is not PowerState.RUNNING:
        return KecsSide(state=EcsState(objects=[]), source="none", as_of=None, notes=notes)
    return KecsSide(state=await view_cluster(session), source="cluster", as_of=datetime.now(UTC), notes=notes)


def newest_duckdb_copy(session: InstanceSession) -> StateCopy | None:
    """The newest copy that holds KECS's DuckDB store."""
    return next((copy for copy in list_copies(session.directory) if "duckdb" in copy.generations), None)


async def read_store(session: InstanceSession, copy: StateCopy | None) -> EcsState:
    """What a copy says, or the store of a cluster that is off: always from a copy of its own, in its own process."""
    directory = session.directory
    if copy is None:
        trouble = store_trouble(directory, "duckdb")
        if trouble:
            raise unreadable("empty" if trouble == "it is empty" else "foreign", trouble)
    with scratch_directory() as scratch:
        await in_thread_until_cancelled(lambda go_on: unfold_duckdb(directory, copy, scratch, go_on))
        return await read_duckdb(scratch)


async def _newest_record(session: InstanceSession) -> BackupRecord | None:
    name = await newest_proven(session)
    return await session.world.store.backups.find(session.instance, name) if name is not None else None


def without_ended(state: EcsState, finished: set[ObjectKey]) -> tuple[EcsState, list[str]]:
    """The state of a copy less its tasks that have ended since, and their names."""
    left: list[EcsObject] = []
    ended: list[EcsObject] = []
    for one in state.objects:
        (ended if one.kind == "task" and key_of(one) in finished else left).append(one)
    return EcsState(objects=left), [words(one.kind, one.cluster, one.name) for one in ended]


def _ended_since(ended: list[str]) -> MigrationNote:
    return MigrationNote(
        code="tasks-ended",
        detail=f"{len(ended)} tasks ran when the copy was taken and have ended since, so they are left out: "
        + ", ".join(ended[:5]),
    )


def _both(present: list[Generation]) -> MigrationNote:
    return MigrationNote(
        code="both-generations",
        detail=f"both of KECS's stores are there ({', '.join(present)}): KECS uses Postgres, and kecs.db is what an "
        "older version left behind; it is not read",
    )


def _why_not_read(present: list[Generation], session: InstanceSession) -> MigrationNote:
    if not present:
        return MigrationNote(
            code="no-store", detail=f"neither kecs.db nor Postgres data lies in {session.directory.data}"
        )
    if present[0] == "postgres":
        return MigrationNote(
            code="store-not-readable-here",
            detail="KECS's Postgres data is readable by a Postgres server alone; the running cluster is asked instead",
        )
    return MigrationNote(
        code="no-copy-yet",
        detail="kecs-server has kecs.db open, and no copy of it was taken yet; the running cluster is asked instead. "
        "A stop takes one",
    )


def _backup_notes(record: BackupRecord | None, index: Archive | None) -> list[MigrationNote]:
    if record is None:
        return [MigrationNote(code="no-backup", detail="there is no proven backup yet, so nothing is covered")]
    if index is None:
        detail = f"no list of what {record.name} holds lies on this host; make a backup, then ask again"
        return [MigrationNote(code="no-index", detail=detail)]
    return []
