"""Counts, durations and sizes of jobs and backups; and what the process itself needs."""

import asyncio

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Gauge, ProcessCollector, generate_latest

from app.api.dependencies import Running
from app.api.errors import InvalidRequest
from app.api.problems import declared
from app.db import DatabaseError
from app.errors import ClusterCommandError, ClusterStateUnknown, InstanceNotFound, InvalidInstanceName
from app.jobs.statistics import StatisticsView

router = APIRouter(tags=["statistics"])

#: Memory, processor time and descriptors where ``/proc`` tells of them, and tasks: what leaks would show in.
_PROCESS = CollectorRegistry()
ProcessCollector(registry=_PROCESS)
TASKS = Gauge("kecs_state_tasks", "Asyncio tasks, this request's included", registry=_PROCESS)
TASKS.set_function(lambda: len(asyncio.all_tasks()))


@router.get("/stats", responses=declared(DatabaseError))
async def get_statistics(services: Running) -> StatisticsView:
    """Figures of all instances."""
    return await services.statistics.summary()


@router.get(
    "/instances/{name}/stats",
    responses=declared(
        InstanceNotFound, InvalidInstanceName, InvalidRequest, ClusterCommandError, ClusterStateUnknown, DatabaseError
    ),
)
async def get_instance_statistics(name: str, services: Running) -> StatisticsView:
    """Figures of one instance."""
    await services.operations.instance(name)
    return await services.statistics.summary(name)


@router.get(
    "/metrics",
    response_class=Response,
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}, **declared(DatabaseError)},
)
async def get_metrics(services: Running) -> Response:
    """The same figures in Prometheus' text format, and those of the process."""
    figures = await services.statistics.prometheus() + generate_latest(_PROCESS).decode()
    return Response(figures, media_type=CONTENT_TYPE_LATEST)
