"""Answers a second of ``GET /jobs/{id}`` over connections that are kept, beside a bare route that answers the same."""

import asyncio
import json
import sqlite3
import time
from datetime import timedelta
from pathlib import Path

from app.db import Database
from app.host.host_id import host_id
from app.jobs.repository import JobStore
from app.jobs.states import JobStatus
from app.queries import now
from app.settings import Settings
from bench.measure import Measure
from bench.service_process import running_bare_app
from tests.service import running_service

ROUNDS = 7
CONNECTIONS = 8
REQUESTS = 1500


async def measure_answers(directory: Path) -> list[Measure]:
    """Both as processes of their own, asked in turn."""
    directory.mkdir()
    job_id = await _ended_job(directory)
    async with running_service(directory) as service:
        document = (await service.client.get(f"/jobs/{job_id}")).json()
        async with running_bare_app(_documents(directory / "bare.db", job_id, document)) as (bare_port, _):
            ours, bare = [], []
            for _ in range(ROUNDS):
                bare.append(await _answers_a_second(bare_port, f"/jobs/{job_id}"))
                ours.append(await _answers_a_second(service.port, f"/jobs/{job_id}"))
    name, baseline = "GET /jobs/{id} with 8 connections", "a bare route of FastAPI on SQLite"
    return [Measure(name, ours, baseline, bare, goal_ratio=0.7, unit="answers/s", more_is_better=True)]


async def _ended_job(directory: Path) -> str:
    """A stop in the service's own database, with the recorded example's result."""
    settings = Settings(driver="sandbox", sandbox_state_dir=directory)
    async with Database.open(settings) as database:
        await database.migrate()
        store = JobStore(database, host_id(settings.state_directory))
        job = await store.create("stop", "demo", {}, now() + timedelta(minutes=15))
        example = json.loads(Path("app/api/examples.json").read_text())["GET /jobs/{job_id}"]["response"]
        await store.finish(job.id, JobStatus.SUCCEEDED, result=example["result"])
    return job.id


def _documents(path: Path, job_id: str, document: object) -> Path:
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE job (id TEXT PRIMARY KEY, document TEXT)")
        database.execute("INSERT INTO job VALUES (?, ?)", (job_id, json.dumps(document)))
    return path


async def _answers_a_second(port: int, path: str) -> float:
    """By a client that does as little as can be, since it takes its time from the same machine."""
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n".encode()

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for _ in range(REQUESTS // CONNECTIONS):
            writer.write(request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if not head.startswith(b"http/1.1 200 "):
                raise RuntimeError(head.decode())
            await reader.readexactly(int(head.partition(b"content-length: ")[2].split(b"\r\n")[0]))
        writer.close()

    began = time.perf_counter()
    await asyncio.gather(*(ask() for _ in range(CONNECTIONS)))
    return REQUESTS // CONNECTIONS * CONNECTIONS / (time.perf_counter() - began)
