"""The composition root: settings in, a running service out."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from importlib import import_module

from fastapi import FastAPI

from app.access.audit import AuditStore
from app.access.tokens import TokenStore
from app.api.application import build_app
from app.api.dependencies import Services
from app.api.guards import check_binding
from app.db import Database
from app.history.retention import Retention
from app.history.store import HistoryStore
from app.host.host_id import host_id
from app.host.service_lock import ServiceLock
from app.host.webhook_secret import webhook_secret
from app.jobs.claim import Claim
from app.jobs.reconciler import Reconciler
from app.jobs.repository import JobStore
from app.jobs.statistics import Statistics
from app.memory import Threads, begin_workers, give_back_freed, keep_freed_together, keep_what_is_loaded
from app.ports import Clusters
from app.scratch import remove_left_behind
from app.settings import Settings
from app.storage import s3
from app.webhooks.addresses import Addresses
from app.webhooks.deliverer import Deliverer
from app.webhooks.outbox import Outbox
from app.webhooks.queue import DeliveryQueue
from app.webhooks.sending import Sender
from app.webhooks.store import WebhookStore
from app.workflows.idle import settle
from app.workflows.records import look_on_host, recall_all
from app.workflows.runners import runners
from app.workflows.service import Operations
from app.workflows.world import World

logger = logging.getLogger(__name__)


def create_app(settings: Settings) -> FastAPI:
    """The whole service as an ASGI application; nothing is opened before its lifespan begins."""

    @asynccontextmanager
    async def services(_app: FastAPI) -> AsyncIterator[Services]:
        async with AsyncExitStack() as opened:
            yield await _open_services(settings, opened)

    return build_app(settings, services)


async def _open_services(settings: Settings, opened: AsyncExitStack) -> Services:
    keep_freed_together()
    workers = Threads(begin_workers)
    clusters = power_driver(settings)
    opened.enter_context(ServiceLock(settings.instances_directory, url=settings.server.url))
    if removed := await asyncio.to_thread(remove_left_behind):
        logger.info("removed %d directories that a killed process had left behind", removed)
    database = await opened.enter_async_context(Database.open(settings))
    await database.migrate()
    tokens = TokenStore(database)
    await check_binding(settings.server, tokens)
    host = host_id(settings.state_directory)
    claim = await opened.enter_async_context(Claim(database, host))
    store = JobStore(database, host, Outbox(host), settings.history)
    world = World(settings, clusters, store)
    await recall_all(world)

    async def on_idle(instance: str) -> float:
        again_seconds = await settle(world, instance)
        workers.replace()
        database.threads.replace()
        await asyncio.to_thread(give_back_freed)
        return again_seconds

    await opened.enter_async_context(world.forwards)
    opened.callback(asyncio.create_task(_load_libraries(), name="load libraries").cancel)
    reconciler = Reconciler(store, runners(world), settings.workflow, on_idle)
    addresses = Addresses(settings.webhooks.allowed_hosts)
    queue = DeliveryQueue(database, host, webhook_secret(settings.state_directory))
    # Entered before the jobs, so that it ends after them and their last words may still go out.
    await opened.enter_async_context(Deliverer(queue, Sender(addresses, settings.webhooks.timeout_seconds)))
    await opened.enter_async_context(reconciler)
    history = HistoryStore(database, host)
    await opened.enter_async_context(Retention(history, settings.history, partial(look_on_host, world)))
    return Services(
        settings=settings,
        database=database,
        claim=claim,
        store=store,
        reconciler=reconciler,
        operations=Operations(world, reconciler),
        statistics=Statistics(store),
        tokens=tokens,
        audit=AuditStore(database, store.host),
        webhooks=WebhookStore(database, host, addresses),
    )


async def _load_libraries() -> None:
    """What the first job will need, loaded aside: being ready does not wait for it, and no job blocks the loop."""
    await asyncio.to_thread(import_module, "app.kubernetes.transport")
    await asyncio.to_thread(s3.load_library)
    keep_what_is_loaded()


def power_driver(settings: Settings) -> Clusters:
    """The driver the settings name; the sandbox is never chosen silently."""
    if settings.driver == "sandbox":
        from app.clusters.sandbox import SandboxClusters

        return SandboxClusters(settings.home_directory)
    if settings.command is not None and settings.driver == "command":
        from app.clusters.command import CommandClusters

        return CommandClusters(settings.command)
    from app.clusters.k3d import K3dClusters

    return K3dClusters(settings.k3d)
