"""Many clusters by one process: ``python -m bench.many_clusters DIRECTORY COUNT STORE_URL ACCESS_KEY SECRET_KEY``.

Each is the sandbox's API server on a port of its own, in memory, with five ConfigMaps. Instead of a kubelet and a
Velero there is a listener that says at once what they would say: workloads are up, the location is available, and a
Backup is complete, with the whole store in the bucket. Kubeconfigs are written to the directory.
"""

import asyncio
import copy
import json
import socket
import ssl
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from app.sandbox.apiclient import ResourceType
from app.sandbox.faults import Rules
from app.sandbox.kubeapi import process
from app.sandbox.kubeapi.pki import ensure_certificates
from app.sandbox.kubeapi.registry import Registry
from app.sandbox.kubeapi.store import Change, Key, Record, Store
from app.sandbox.kubeapi.watching import Watches
from app.sandbox.velero.archive import Item, gzipped_json, write_archive
from app.storage import layout
from app.storage.s3 import S3Credentials, S3Store
from tests.proof.backups import EMPTY_RESULTS, resource_list

BUCKET = "backups"
OBJECTS = 5
TOKEN = "of-the-bench"  # noqa: S105 - of clusters that hold nothing
BACKUPS, LOCATIONS = "backups.velero.io", "backupstoragelocations.velero.io"
WORKLOADS = {"deployments.apps", "statefulsets.apps"}


class StubCluster:
    """One API server, and what answers in Velero's place."""

    def __init__(self, name: str, ca: str, bucket: S3Store, registry: Registry) -> None:
        self._name, self._bucket, self._registry = name, bucket, registry
        self._store = Store(Path(":memory:"), 1000)
        self._server, self._housekeeping = process._assemble(self._store, Watches(self._store), TOKEN, ca)  # noqa: SLF001
        self._tasks: set[asyncio.Task[None]] = set()
        for number in range(OBJECTS):
            metadata = {"name": f"settings-{number}", "namespace": "default"}
            content = {"metadata": metadata, "data": {"number": str(number)}}
            self._housekeeping.place(registry.built_in("configmaps"), content)
        self._store.listeners.append(self._heard)

    async def serve(self, context: ssl.SSLContext, nowhere: Rules) -> int:
        """Its port."""
        runner = web.AppRunner(self._server.application(nowhere), access_log=None)
        await runner.setup()
        listener = socket.create_server(("127.0.0.1", 0))
        await web.SockSite(runner, listener, ssl_context=context).start()
        self._do(self._housekeeping.run())
        port: int = listener.getsockname()[1]
        return port

    def _do(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _heard(self, change: Change) -> None:
        """Velero's kinds are kept under their full names, with the version they are served in."""
        storage = change.after.key.storage
        status = change.after.obj.get("status") or {}
        if change.type == "DELETED":
            return
        if storage in WORKLOADS and status.get("readyReplicas", 0) != change.after.obj["spec"].get("replicas", 1):
            self._do(self._raise_replicas(change.after.key))
        elif storage == LOCATIONS and not status.get("lastValidationTime"):
            self._do(self._say(change.after.key, phase="Available", lastValidationTime=_now()))
        elif storage == BACKUPS and not status.get("phase"):
            self._do(self._back_up(change.after.key))

    async def _raise_replicas(self, key: Key) -> None:
        record = self._store.get(key)
        if record is not None:
            count = record.obj["spec"].get("replicas", 1)
            names = ("replicas", "readyReplicas", "availableReplicas", "updatedReplicas")
            generation = record.metadata.get("generation", 1)
            await self._say(key, **dict.fromkeys(names, count), observedGeneration=generation)

    async def _say(self, key: Key, **status: Any) -> None:
        record = self._store.get(key)
        if record is not None:
            content = copy.deepcopy(record.obj)
            content["status"] = (content.get("status") or {}) | status
            self._store.put(key, content)

    async def _back_up(self, key: Key) -> None:
        """In Velero's order: everything is in the bucket before the cluster says so."""
        await self._say(key, phase="InProgress", startTimestamp=_now())
        record = self._store.get(key)
        if record is None:
            return
        items = [item for each in self._store.everything() if (item := self._item(each))]
        ended = {"phase": "Completed", "completionTimestamp": _now(), "formatVersion": "1.1.0"}
        name = key.name
        contents = {
            layout.contents_key(name): await asyncio.to_thread(write_archive, items),
            layout.metadata_key(name): json.dumps(record.obj | {"status": record.obj["status"] | ended}).encode(),
            layout.logs_key(name): gzipped_json(""),
            layout.results_key(name): gzipped_json(EMPTY_RESULTS),
            layout.resource_list_key(name): gzipped_json(resource_list([item.content for item in items])),
            layout.volume_info_key(name): gzipped_json([]),
            layout.pod_volume_backups_key(name): gzipped_json(None),
        }
        for at, content in contents.items():
            await self._bucket.put(f"{self._name}/{at}", content)
        await self._say(key, **ended)

    def _item(self, record: Record) -> Item | None:
        kind = self._registry.of_storage(record.key.storage)
        if kind is None:
            return None
        resource = ResourceType(kind.group, kind.version, kind.plural, kind.kind, bool(record.key.namespace))
        return Item(resource, record.obj | {"apiVersion": resource.api_version, "kind": kind.kind})


def _now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"


async def serve(directory: Path, count: int, url: str, *keys: str) -> None:
    """All of them, until the process is ended."""
    ca, certificate, key = ensure_certificates(directory / "pki")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    nowhere = Rules(directory / "faults.json", "api")
    async with S3Store(url, S3Credentials(*keys), BUCKET) as bucket:
        await bucket.ensure_bucket()
        for number in range(count):
            cluster = StubCluster(name_of(number), ca.read_text(), bucket, Registry())
            port = await cluster.serve(context, nowhere)
            kubeconfig = process._kubeconfig(ca.read_bytes(), TOKEN, port)  # noqa: SLF001
            (directory / f"{name_of(number)}.json").write_bytes(kubeconfig)
        (directory / "ready").touch()
        await asyncio.Event().wait()


def name_of(number: int) -> str:
    """Of an instance."""
    return f"one-of-many-{number}"


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2]), *sys.argv[3:]))
