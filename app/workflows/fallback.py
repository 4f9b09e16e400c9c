"""Where no backup brings a cluster's state back, KECS's own restoration does, from its own store.

KECS restores at every start of its server. Nothing of that is done here a second time: the store is seen to be in its
place, the server is restarted if it ran without it, and what it brought is held against what the store says.
"""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime

from pydantic import BaseModel

from app.host.ecs_state import EcsObject, EcsState
from app.host.kecs_store import generations_present
from app.host.state_copies import StateCopy, list_copies, list_lost_stores
from app.jobs.journal import Journal, age_seconds
from app.kubernetes.resources import DEPLOYMENTS, NAMESPACES, PODS
from app.proof.coverage import key_of, words
from app.proof.models import ObjectKey
from app.workflows.ecs_view import view_cluster
from app.workflows.kecs_server import DEPLOYMENT, NAMESPACE, hold_kecs_server, release_kecs_server
from app.workflows.migration import newest_duckdb_copy, read_store
from app.workflows.outcomes import Decision, KecsRestoration
from app.workflows.state_copies import put_state_back
from app.workflows.tasks import DUPLICATE_NAMESPACE_PREFIX, DUPLICATE_PREFIX
from app.workflows.workloads import POLL_SECONDS
from app.workflows.world import InstanceSession


class KecsOutcome(BaseModel):
    """What is there when KECS is done, or its time is up."""

    brought_back: list[str]
    missing: list[str]


async def fall_back(decision: Decision, session: InstanceSession, journal: Journal) -> KecsRestoration | None:
    """Leave it to KECS and say what came of it, in warnings; None where nothing was lost or KECS has no store."""
    lost = decision.action == "nothing-to-restore" or decision.outstanding
    if not lost or not (generations_present(session.directory) or list_copies(session.directory)):
        return None
    began = datetime.now(UTC)
    restarted = await journal.optional_step(bring_store_to_server, session, journal)
    copy = newest_duckdb_copy(session)
    expected = await journal.optional_step(read_expected, session, copy)
    outcome = await journal.optional_step(wait_for_kecs, session, expected)
    if outcome is None:
        return None
    await warn_of(journal, outcome, told=expected is not None)
    return KecsRestoration(
        told_by="duckdb" if expected is not None else "cluster",
        state_copy=copy.name if copy is not None and expected is not None else None,
        server_restarted=bool(restarted),
        brought_back=outcome.brought_back,
        missing=outcome.missing,
        seconds=age_seconds(began),
    )


async def bring_store_to_server(session: InstanceSession, journal: Journal) -> bool:
    """Restart a server that runs without its store with it; says whether it did.

    After a power-on the store is in its place already; a server that somebody else made anew may lack it.
    """
    if not list_lost_stores(session.directory):
        return False
    await hold_kecs_server(session)
    try:
        await put_state_back(session, journal)
    finally:
        await release_kecs_server(session)
    return True


async def read_expected(session: InstanceSession, copy: StateCopy | None) -> EcsState | None:
    """What the newest copy of the DuckDB store tells of; a Postgres store tells nobody but KECS."""
    if copy is None or generations_present(session.directory)[:1] != ["duckdb"]:
        return None
    return await read_store(session, copy)


async def wait_for_kecs(session: InstanceSession, expected: EcsState | None) -> KecsOutcome:
    """Wait, for a bounded time, until all of it is there; without a list, until KECS's server is ready."""
    seconds = session.settings.workflow.fallback_timeout_seconds
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            while not await _is_done(session, expected):
                await asyncio.sleep(POLL_SECONDS)
    if expected is None:
        return KecsOutcome(brought_back=_names((await view_cluster(session)).objects), missing=[])
    missing = await _find_missing(session, expected)
    there = [one for one in _restorable(expected) if one not in missing]
    return KecsOutcome(brought_back=_names(there), missing=_names(missing))


async def warn_of(journal: Journal, outcome: KecsOutcome, *, told: bool) -> None:
    """Without a backup an instance is never as it was: said even when KECS brought all of its own back."""
    count = len(outcome.brought_back)
    measured = (
        f"of {count + len(outcome.missing)} that its store tells of" if told else "and its store is not read here"
    )
    await journal.warn(
        "restored-by-kecs",
        f"KECS's own restoration brought back {count} clusters, services and tasks {measured}; it brings back no "
        "secrets, routes, volumes or further objects",
    )
    if outcome.missing:
        first = ", ".join(outcome.missing[:5])
        await journal.warn(
            "kecs-restore-missing", f"{len(outcome.missing)} did not come back: {first}", missing=outcome.missing
        )


async def _is_done(session: InstanceSession, expected: EcsState | None) -> bool:
    if expected is not None:
        return not await _find_missing(session, expected)
    server = await (await session.kube()).find(DEPLOYMENTS, DEPLOYMENT, NAMESPACE)
    return server is not None and bool((server.get("status") or {}).get("readyReplicas"))


async def _find_missing(session: InstanceSession, expected: EcsState) -> list[EcsObject]:
    """What is not there: neither where KECS keeps it nor, for a task, where its restoration puts it."""
    kube, there = await session.kube(), set()
    for resource in (NAMESPACES, DEPLOYMENTS, PODS):
        for found in (await kube.list(resource, metadata_only=True)).items:
            metadata = found["metadata"]
            key = ObjectKey(
                resource=resource.group_resource, namespace=metadata.get("namespace", ""), name=metadata["name"]
            )
            there.add(key)
    return [one for one in _restorable(expected) if there.isdisjoint(_places(one))]


def _restorable(expected: EcsState) -> list[EcsObject]:
    """What KECS restores by itself: a cluster's namespace comes with what is in it, a service's tasks with it."""
    used = {one.cluster for one in expected.objects if one.kind == "service"}
    return [one for one in expected.objects if not one.service and (one.kind != "cluster" or one.cluster in used)]


def _places(one: EcsObject) -> set[ObjectKey]:
    places = {key_of(one)}
    if one.kind == "task":
        namespace, name = f"{DUPLICATE_NAMESPACE_PREFIX}{one.cluster}", f"{DUPLICATE_PREFIX}{one.name}"
        places.add(ObjectKey(resource=PODS.group_resource, namespace=namespace, name=name))
    return places


def _names(objects: list[EcsObject]) -> list[str]:
    return [words(one.kind, one.cluster, one.name) for one in objects]
