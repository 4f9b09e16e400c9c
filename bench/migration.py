"""The migration report at 500 services and 2,000 tasks, and what copying 1 GiB does to the event loop."""

import asyncio
import os
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from app.db import Database
from app.host.state_copies import list_copies
from app.jobs.models import BackupRecord
from app.jobs.repository import JobStore
from app.ports import PowerState
from app.proof.archive import Archive, ArchivedObject
from app.proof.coverage import key_of
from app.proof.index import INDEX_FILE, write_index
from app.proof.models import ObjectKey
from app.sandbox.kecs_store import cluster_row, definition_row, service_row, task_row, write_store
from app.settings import Settings
from app.workflows.identity import record_new_instance
from app.workflows.migration import read_store, report_migration
from app.workflows.state_copies import copy_state
from app.workflows.world import InstanceSession, World
from bench.measure import Measure, p99

NAME, BACKUP, REGION = "shop", "backup-shop-20261123090000", "us-east-1"
SERVICES, TASKS_EACH = 500, 4
GIBIBYTE, BLOCK = 1024**3, os.urandom(1024**2)
SAMPLE_SECONDS = 0.002
ROUNDS, COPIES = 5, 3


async def measure_migration(directory: Path) -> list[Measure]:
    """Both figures, on an instance without a cluster: neither asks one."""
    settings = Settings(home=directory)
    async with Database.open(settings) as database:
        await database.migrate()
        world = World(settings, cast("Any", None), JobStore(database, "bench"))
        async with InstanceSession(world, NAME) as session:
            record_new_instance(session, "uid")
            session.directory.data.mkdir(parents=True)
            return [await _report(session), await _copying(session)]


async def _report(session: InstanceSession) -> Measure:
    _fill(session.directory.data / "kecs.db")
    state = await read_store(session, None)
    there = ArchivedObject(uid="u", resource_version="1", controller="", not_restorable="")
    items = {key_of(one): there for one in state.objects}
    items |= {ObjectKey(resource="configmaps", namespace="default", name=str(number)): there for number in range(5000)}
    folder = session.directory.proofs_directory / BACKUP
    session.directory.make(folder)
    session.directory.write(folder / INDEX_FILE, write_index(Archive(items, "1.1.0")))
    now, store = datetime.now(UTC), session.world.store
    record = BackupRecord(
        host=store.host, instance=NAME, name=BACKUP, instance_id=session.instance_id, scope="full", status="proven",
        created_at=now, proven_at=now,
    )  # fmt: skip
    await store.backups.save(record)
    rounds, reads = [], []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await read_store(session, None)
        reads.append(time.perf_counter() - began)
        began = time.perf_counter()
        view = await report_migration(session, PowerState.STOPPED)
        rounds.append(time.perf_counter() - began)
        if (view.covered, view.missing) != (1 + SERVICES * (1 + TASKS_EACH), 0):
            raise RuntimeError(f"the report covers {view.covered} and misses {view.missing}")
    return Measure("migration report", rounds, "the store read", reads, 1.0)


def _fill(path: Path) -> None:
    services = [service_row(f"s{n}", "default", REGION, family="web", count=TASKS_EACH) for n in range(SERVICES)]
    tasks = [
        task_row(f"{n}-{each}", "default", REGION, family="web", group=f"service:s{n}", pod=f"s{n}-{each}")
        for n in range(SERVICES)
        for each in range(TASKS_EACH)
    ]
    definitions = [definition_row("web", REGION, "nginx:1")]
    clusters = [cluster_row("default", REGION)]
    write_store(path, {"clusters": clusters, "task_definitions": definitions, "services": services, "tasks": tasks})


async def _copying(session: InstanceSession) -> Measure:
    with (session.directory.data / "kecs.db").open("ab") as file:
        for _ in range(GIBIBYTE // len(BLOCK)):
            file.write(BLOCK)
    idle, late = [], []
    for _ in range(COPIES):
        with (session.directory.data / "kecs.db").open("ab") as file:
            file.write(BLOCK)  # what is as it was copied is not copied again
        idle.append(await _lag_while(asyncio.sleep(2)))
        late.append(await _lag_while(copy_state(session)))
        if sum(file.size for file in list_copies(session.directory)[0].files) < GIBIBYTE:
            raise RuntimeError("the copy is not whole")
    return Measure("loop lag p99, 1 GiB copied", late, "idle", idle, 0.05)


async def _lag_while(work: Coroutine[Any, Any, Any]) -> float:
    """By how much, at the 99th percentile, the loop was late to what was due while ``work`` ran."""
    working, late = asyncio.ensure_future(work), []
    while not working.done():
        began = time.perf_counter()
        await asyncio.sleep(SAMPLE_SECONDS)
        late.append(time.perf_counter() - began - SAMPLE_SECONDS)
    await working
    return p99(late)
