"""What KECS's own store says there is: ECS clusters, services and running tasks, read from a copy of it."""

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from app.errors import ServiceError, StepTimeout
from app.host.files import open_plain
from app.host.kecs_store import DUCKDB_FILE, DUCKDB_HEADER_BYTES, header_trouble

READ_SECONDS = 30.0
#: Of each 10,000 tasks about 3 MB; what is beyond this is no answer of the reader's.
MOST_ANSWER_BYTES = 256 * 1024 * 1024


class DuckdbNotInstalled(ServiceError):
    """The extra that reads the store is missing."""

    code, status, title = "duckdb-not-installed", 501, "The extra that reads KECS's DuckDB store is not installed"


class StateStoreUnreadable(ServiceError):
    """The store is there and says nothing; the extra ``trouble`` names why."""

    code, status, title = "state-store-unreadable", 409, "KECS's own store cannot be read"


class EcsObject(BaseModel):
    """One ECS thing and where KECS keeps it in the cluster."""

    kind: Literal["cluster", "service", "task"]
    name: str
    cluster: str
    namespace: str
    object: str
    """The name of its Namespace, Deployment or pod."""
    service: str = ""
    """Of a task: the service that runs it, which makes it anew."""


class EcsState(BaseModel):
    """Everything of one moment."""

    objects: list[EcsObject]


class _Cluster(BaseModel):
    name: str
    region: str | None


class _Service(BaseModel):
    service_name: str
    cluster_arn: str
    region: str | None
    deployment_name: str | None
    namespace: str | None


class _Task(BaseModel):
    id: str
    arn: str
    cluster_arn: str
    region: str | None
    task_group: str | None
    pod_name: str | None
    namespace: str | None


class _Rows(BaseModel):
    clusters: list[_Cluster]
    services: list[_Service]
    tasks: list[_Task]


async def read_duckdb(scratch: Path) -> EcsState:
    """The state in ``scratch/kecs.db``, a copy that nobody else uses.

    Raises ``DuckdbNotInstalled`` and ``StateStoreUnreadable`` (``trouble``: empty, foreign, corrupt, newer).
    """
    with open_plain(scratch / DUCKDB_FILE) as file:
        wrong = header_trouble(file.read(DUCKDB_HEADER_BYTES))
    if wrong:
        known = {"it is empty": "empty", "it is no DuckDB file": "foreign"}
        raise unreadable(known.get(wrong, "corrupt"), wrong)
    answer = await _run_reader(scratch)
    try:
        document = json.loads(answer)
        if "trouble" in document:
            raise unreadable(document["trouble"], document["detail"])
        return _state(_Rows.model_validate(document))
    except (ValueError, ValidationError, TypeError):
        raise unreadable("corrupt", "reading it ended without an answer") from None


def unreadable(trouble: str, detail: str) -> ServiceError:
    """The error for one kind of trouble, with what to do about that kind."""
    if trouble == "not-installed":
        return DuckdbNotInstalled(
            f"KECS's DuckDB store cannot be read here: {detail}",
            remedy="Install it with: pip install 'kecs-state[duckdb]', then restart the service.",
        )
    remedies = {
        "empty": "Start the instance: a lost store is put back from its newest copy.",
        "foreign": "Look what lies there as data/kecs.db; KECS did not make it.",
        "corrupt": "Take an older copy from state-copies/, or go on with the proven backups alone.",
        "newer": "Renew the package duckdb: pip install --upgrade duckdb, then restart the service.",
    }
    return StateStoreUnreadable(f"kecs.db: {detail}", remedy=remedies[trouble], trouble=trouble)


async def _run_reader(scratch: Path) -> bytes:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("KECS_STATE_")}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app.host.duckdb_rows",
        str(scratch),
        cwd=scratch,
        env=environment,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None  # noqa: S101 - asked for above
    try:
        async with asyncio.timeout(READ_SECONDS):
            answer = await process.stdout.read(MOST_ANSWER_BYTES)
            while more := await process.stdout.read(MOST_ANSWER_BYTES - len(answer)):
                answer += more
            await process.wait()
    except TimeoutError:
        raise StepTimeout(
            f"reading KECS's store took longer than {READ_SECONDS:g} s", remedy="Try again on a machine less busy."
        ) from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return answer


def _state(rows: _Rows) -> EcsState:
    clusters = [
        EcsObject(kind="cluster", name=row.name, cluster=row.name, namespace=place, object=place)
        for row in rows.clusters
        for place in [_namespace(row.name, row.region)]
    ]
    return EcsState(objects=[*clusters, *map(_service, rows.services), *map(_task, rows.tasks)])


def _service(row: _Service) -> EcsObject:
    cluster = _last(row.cluster_arn)
    return EcsObject(
        kind="service",
        name=row.service_name,
        cluster=cluster,
        namespace=row.namespace or _namespace(cluster, row.region),
        object=row.deployment_name or row.service_name,
    )


def _task(row: _Task) -> EcsObject:
    cluster, task = _last(row.cluster_arn), _last(row.arn)
    group = row.task_group or ""
    return EcsObject(
        kind="task",
        name=task,
        cluster=cluster,
        namespace=row.namespace or _namespace(cluster, row.region),
        object=row.pod_name or task,
        service=group.removeprefix("service:") if group.startswith("service:") else "",
    )


def _namespace(cluster: str, region: str | None) -> str:
    return f"{cluster}-{region or 'us-east-1'}"


def _last(arn: str) -> str:
    """The name at an ARN's end."""
    return arn.rpartition("/")[2]
