"""The API on a real loopback port, over a real database and reconciler, with jobs a test can hold and release."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from app.access.audit import AuditStore
from app.access.tokens import TokenStore
from app.api.application import build_app
from app.api.connections import bounded_protocol
from app.api.dependencies import Services
from app.cli.serving import bind
from app.db import Database
from app.errors import ClusterCommandError, ClusterStateUnknown, ProofFailed
from app.jobs.claim import Claim
from app.jobs.journal import Journal
from app.jobs.reconciler import Reconciler
from app.jobs.repository import JobStore
from app.jobs.statistics import Statistics
from app.ports import ClusterAccess, ClusterStatus, Mount, PowerState, ToolCheck
from app.settings import ServerSettings, Settings
from app.webhooks.addresses import Addresses
from app.webhooks.deliverer import Deliverer
from app.webhooks.outbox import Outbox
from app.webhooks.queue import DeliveryQueue
from app.webhooks.sending import Sender
from app.webhooks.signing import new_secret
from app.webhooks.store import WebhookStore
from app.workflows.service import Operations
from app.workflows.world import World

INSTANCES = {
    "demo": PowerState.RUNNING,
    "off": PowerState.STOPPED,
    "lost": PowerState.UNKNOWN,
    **{f"many{number}": PowerState.RUNNING for number in range(6)},
}
#: What callbacks are signed with here; a service keeps its own in a file.
CALLBACK_SECRET = new_secret()


class FixedClusters:
    """A power driver whose clusters never change; the jobs here do not touch them."""

    reachable = True

    async def state(self, instance: str) -> ClusterStatus:
        """As listed above."""
        return ClusterStatus(INSTANCES.get(instance, PowerState.ABSENT))

    async def start(self, instance: str) -> None:
        """The jobs here never ask for it."""
        raise ClusterCommandError(f"{instance} cannot be switched on")

    async def stop(self, instance: str, *, drain: bool) -> None:
        """The jobs here never ask for it."""
        raise ClusterCommandError(f"{instance} cannot be switched off ({drain=})")

    async def access(self, instance: str) -> ClusterAccess:
        """There is nothing behind it."""
        raise ClusterCommandError(f"{instance} has no API server")

    async def mounts(self, instance: str) -> list[Mount] | None:
        """None known."""
        assert instance in INSTANCES
        return None

    async def import_images(self, instance: str, references: Sequence[str]) -> Sequence[str]:
        """The jobs here never ask for it."""
        raise ClusterCommandError(f"{instance} takes no images: {references}")

    async def tools(self) -> Sequence[ToolCheck]:
        """A program, there as long as the container engine is."""
        return [ToolCheck("engine", ok=self.reachable, detail="1.0", remedy="Start it.")]

    async def list(self) -> dict[str, ClusterStatus]:
        """All of them, unless the container engine is down."""
        if not self.reachable:
            raise ClusterStateUnknown("the container engine does not answer")
        return {name: ClusterStatus(state) for name, state in INSTANCES.items()}


@dataclass
class Gate:
    """Start jobs stand before it, with the power-off not begun; ``held`` is set while one stands there."""

    opened: asyncio.Event = field(default_factory=asyncio.Event)
    held: asyncio.Event = field(default_factory=asyncio.Event)


def job_runners(gate: Gate) -> dict[str, Callable[[Journal], Awaitable[dict[str, Any]]]]:
    """One short job for every way to end: stop succeeds, start waits, backup fails, restore warns, stack crashes."""

    async def create_backup() -> str:
        return "stop-backup-demo-20260101000000"

    async def wait_at_the_gate() -> None:
        gate.held.set()
        await gate.opened.wait()

    async def prove_backup() -> None:
        raise ProofFailed("2 objects are absent", remedy="Stop again.", findings=["absent"])

    async def stop(journal: Journal) -> dict[str, Any]:
        await journal.record(backup=await journal.step(create_backup))
        return {"protected": True, "backup": "stop-backup-demo-20260101000000", "pruned": ["older"]}

    async def start(journal: Journal) -> dict[str, Any]:
        await journal.step(wait_at_the_gate)
        return {"noop": False, "action": "survived", "reason": "the same cluster"}

    async def backup(journal: Journal) -> dict[str, Any]:
        await journal.step(prove_backup)
        return {}

    async def restore(journal: Journal) -> dict[str, Any]:
        await journal.warn("workloads-not-ready", "1 workload is not ready")
        return {"noop": False, "action": "restore", "reason": "asked for"}

    async def wake(_journal: Journal) -> dict[str, Any]:
        raise RuntimeError("password=hunter2")

    async def sleep(journal: Journal) -> dict[str, Any]:
        await journal.point_of_no_return()
        await gate.opened.wait()
        return {"awake": False}

    return {
        "stop": stop, "start": start, "backup": backup, "restore": restore, "stack-wake": wake, "stack-sleep": sleep,
    }  # fmt: skip


@dataclass
class ServedApi:
    """A running API, a client of it, and the gate its start jobs wait at."""

    url: str
    client: httpx.AsyncClient
    gate: Gate
    clusters: FixedClusters
    app: FastAPI
    server: uvicorn.Server

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.url.rpartition(":")[2])

    async def ended(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended."""
        response = await self.client.get(f"/jobs/{job_id}", params={"wait": 20})
        job: dict[str, Any] = response.json()
        assert job["finished_at"], job
        return job


@asynccontextmanager
async def served_api(directory: Path, server: ServerSettings | None = None) -> AsyncIterator[ServedApi]:
    """The application on a port of its own until the block ends."""
    listener = bind(ServerSettings(port=0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    gate, clusters = Gate(), FixedClusters()
    server_settings = server or ServerSettings(allowed_hosts=["kecs.test"], max_wait_seconds=20)
    settings = Settings(home=directory, server=server_settings)
    app = build_app(settings, lambda _app: _services(settings, gate, clusters))
    protocol = bounded_protocol(settings.server)
    config = uvicorn.Config(app, http=protocol, lifespan="off", log_config=None, timeout_graceful_shutdown=1)
    async with app.router.lifespan_context(app), httpx.AsyncClient(base_url=url, timeout=30) as client:
        uvicorn_server = uvicorn.Server(config)
        serving = asyncio.create_task(uvicorn_server.serve(sockets=[listener]))
        try:
            yield ServedApi(url, client, gate, clusters, app, uvicorn_server)
        finally:
            gate.opened.set()
            uvicorn_server.should_exit = True
            await serving


@asynccontextmanager
async def _services(settings: Settings, gate: Gate, clusters: FixedClusters) -> AsyncIterator[Services]:
    async with Database.open(settings) as database:
        await database.migrate()
        host = "host-of-this-test"
        store = JobStore(database, host, Outbox(host))
        addresses = Addresses(settings.webhooks.allowed_hosts)
        deliverer = Deliverer(DeliveryQueue(database, host, CALLBACK_SECRET), Sender(addresses, 5))
        async with deliverer, Reconciler(store, job_runners(gate), settings.workflow) as reconciler:
            operations = Operations(World(settings, clusters, store), reconciler)
            tokens, audit = TokenStore(database), AuditStore(database, store.host)
            webhooks = WebhookStore(database, host, addresses)
            claim, statistics = Claim(database, host), Statistics(store)
            yield Services(
                settings, database, claim, store, reconciler, operations, statistics, tokens, audit, webhooks
            )
