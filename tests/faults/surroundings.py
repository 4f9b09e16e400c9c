"""What is wrong around an operation and is no switch of the sandbox: made before it and undone after it."""

import asyncio
import base64
import json
import os
import resource
import signal
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.host.credentials import ensure_credentials
from app.host.instance_directory import InstanceDirectory
from app.kubernetes.port_forward import PortForward
from app.kubernetes.resources import API_SERVICES, CONFIG_MAPS, NAMESPACES, VALIDATING_WEBHOOKS, Resource
from app.sandbox import supervisor
from app.storage.s3 import S3Store
from app.velero.bodies import custom_resource
from app.velero.models import BACKUPS
from tests.instances import NAME
from tests.product import Product
from tests.waiting import eventually
from tests.workflows.test_webhooks import rejecting

#: How long the host's troubles last that pass by themselves; within the time that a step is tried again.
PASSING_SECONDS = 0.5
#: When they begin that are to meet a job at its work.
SOON_SECONDS = 0.3


@asynccontextmanager
async def _object(
    product: Product, kind: Resource, body: dict[str, Any], namespace: str | None = None
) -> AsyncIterator[None]:
    async with product.kube() as kube:
        await kube.create(kind, body, namespace)
    yield
    async with product.kube() as kube:
        await kube.delete(kind, body["metadata"]["name"], namespace)


@asynccontextmanager
async def terminating_namespace(product: Product) -> AsyncIterator[None]:
    """A namespace that is being deleted and waits for a finalizer of somebody's."""
    held = {"metadata": {"name": "held", "namespace": "stuck", "finalizers": ["example.com/held"]}}
    async with product.kube() as kube:
        await kube.create(NAMESPACES, {"metadata": {"name": "stuck"}})
        await kube.create(CONFIG_MAPS, held, "stuck")
        await kube.delete(NAMESPACES, "stuck")
    yield
    async with product.kube() as kube:
        await kube.merge_patch(CONFIG_MAPS, "held", {"metadata": {"finalizers": None}}, "stuck")


def dead_api_service(product: Product) -> Any:
    """An API group whose Service does not exist."""
    spec = {
        "group": "metrics.example.com", "version": "v1beta1", "groupPriorityMinimum": 100, "versionPriority": 100,
        "service": {"name": "metrics", "namespace": "internal"}, "insecureSkipTLSVerify": True,
    }  # fmt: skip
    return _object(product, API_SERVICES, {"metadata": {"name": "v1beta1.metrics.example.com"}, "spec": spec})


def rejecting_webhook(product: Product) -> Any:
    """A webhook for everything that nobody answers."""
    return _object(product, VALIDATING_WEBHOOKS, rejecting("rejects-all"))


def foreign_backup(product: Product) -> Any:
    """A Backup that is not ours and has not begun."""
    return _object(product, BACKUPS, custom_resource(BACKUPS, "velero", "theirs", {}), "velero")


@asynccontextmanager
async def _store(product: Product) -> AsyncIterator[S3Store]:
    """The instance's bucket, for as long as the stack is awake for a person."""
    credentials = ensure_credentials(InstanceDirectory(product.record.parent))
    await product.service.run(f"/instances/{NAME}/stack/wake")
    async with (
        product.kube() as kube,
        PortForward(kube, "velero", "minio", 9000) as forward,
        S3Store(forward.url, credentials, "velero") as store,
    ):
        yield store
    await product.service.run(f"/instances/{NAME}/stack/sleep")


@asynccontextmanager
async def _stored(product: Product, key: str, content: bytes) -> AsyncIterator[None]:
    async with _store(product) as store:
        await store.put(key, content)
    yield
    async with _store(product) as store:
        await store.delete([key])


def foreign_directory(product: Product) -> Any:
    """Somebody else's files in the bucket."""
    return _stored(product, "photographs/one.jpg", b"no backup")


def poisoned_backup(product: Product) -> Any:
    """A backup's metadata that nobody can read."""
    return _stored(product, "backups/poisoned/velero-backup.json", b'{"metadata"')


@asynccontextmanager
async def powered_off(product: Product) -> AsyncIterator[None]:
    """By somebody's hand."""
    await product.instance.power_off()
    yield


@asynccontextmanager
async def dead_node(product: Product) -> AsyncIterator[None]:
    """Only the API server is left of the cluster."""
    directory = supervisor.cluster_directory(product.state_dir, NAME)
    kubelet = json.loads((directory / "cluster.json").read_text())["kubelet"]
    os.kill(int(kubelet["pid"]), signal.SIGKILL)

    async def half_off() -> bool:
        return product.state() == "half-off"

    await eventually(half_off)
    yield


@asynccontextmanager
async def file_for_proofs(product: Product) -> AsyncIterator[None]:
    """Nothing can be kept where evidence goes."""
    proofs = product.record.parent / "proofs"
    aside = proofs.with_name("proofs-aside")
    proofs.rename(aside)
    proofs.write_text("")
    yield
    proofs.unlink()
    aside.rename(proofs)


@asynccontextmanager
async def database_locked(product: Product) -> AsyncIterator[None]:
    """Somebody else writes, for a while."""
    other = sqlite3.connect(product.state_dir / "state" / "state.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    later = asyncio.get_running_loop().call_later(PASSING_SECONDS, other.rollback)
    yield
    later.cancel()
    other.close()


@asynccontextmanager
async def _limited(product: Product, what: int, limit: int) -> AsyncIterator[None]:
    """The service gets no more of something."""
    pid = product.service.pid
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (limit, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, what, before)


@asynccontextmanager
async def _limited_soon(product: Product, what: int, limit: int) -> AsyncIterator[None]:
    """The same, once a job has begun, for a while."""

    async def limit_for_a_while() -> None:
        await asyncio.sleep(SOON_SECONDS)
        async with _limited(product, what, limit):
            await asyncio.sleep(PASSING_SECONDS)

    task = asyncio.create_task(limit_for_a_while())
    yield
    await task


def database_unwritable(product: Product) -> Any:
    """No file of the service's may grow, as on a full disk."""
    return _limited(product, resource.RLIMIT_FSIZE, 1024)


def database_unwritable_soon(product: Product) -> Any:
    """For a while."""
    return _limited_soon(product, resource.RLIMIT_FSIZE, 1024)


def no_descriptors_soon(product: Product) -> Any:
    """The service may open no file and no connection for a while."""
    return _limited_soon(product, resource.RLIMIT_NOFILE, 3)


@asynccontextmanager
async def no_room_for_the_archive(product: Product) -> AsyncIterator[None]:
    """Files may grow to some size, which the archive exceeds and the database does not."""
    names = [f"noise-{number}" for number in range(8)]
    async with product.kube() as kube:
        for name in names:
            body = {"metadata": {"name": name}, "data": {"noise": base64.b64encode(os.urandom(600_000)).decode()}}
            await kube.create(CONFIG_MAPS, body, "internal")
    async with _limited(product, resource.RLIMIT_FSIZE, 8 * 1024 * 1024):
        yield
    async with product.kube() as kube:
        for name in names:
            await kube.delete(CONFIG_MAPS, name, "internal")
