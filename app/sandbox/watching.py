"""Informers and work queues: objects arrive by watch, names are handled one at a time."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from app.sandbox.apiclient import ApiError, KubernetesApi, ResourceType
from app.sandbox.objects import Object, name_of

log = logging.getLogger(__name__)

Handler = Callable[[str, Object], None]


class Informer:
    """The objects of one kind, kept current: of one namespace by name, of all ("") by ``namespace/name``.

    Handlers get ADDED, MODIFIED and DELETED.
    """

    def __init__(self, api: KubernetesApi, resource: ResourceType, namespace: str) -> None:
        self.objects: dict[str, Object] = {}
        self.synced = asyncio.Event()
        self._api, self._resource, self._namespace = api, resource, namespace
        self._handlers: list[Handler] = []

    def key(self, item: Object) -> str:
        """What an object is found by in ``objects``."""
        namespace = "" if self._namespace else item["metadata"].get("namespace", "")
        return f"{namespace}/{name_of(item)}" if namespace else name_of(item)

    def subscribe(self, handler: Handler) -> None:
        """Before ``run``: whoever comes later has missed the first list."""
        self._handlers.append(handler)

    async def run(self) -> None:
        from aiohttp import ClientError  # late, as the client's own import of it

        delay = 0.1
        while True:
            try:
                version = await self._list()
                delay = 0.1
                await self._follow(version)
            except (ApiError, ClientError, TimeoutError) as error:
                log.warning("Watch of %s ended: %s", self._resource.name, error)
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)

    async def _list(self) -> str:
        listed = await self._api.list(self._resource, self._namespace)
        current = {self.key(item): item for item in listed.items}
        for name in self.objects.keys() - current.keys():
            self._apply("DELETED", self.objects[name])
        for name, item in current.items():
            known = self.objects.get(name)
            if known is None:
                self._apply("ADDED", item)
            elif known["metadata"]["resourceVersion"] != item["metadata"]["resourceVersion"]:
                self._apply("MODIFIED", item)
        self.synced.set()
        return listed.resource_version

    async def _follow(self, version: str) -> None:
        while True:
            seen = False
            async for kind, item in self._api.watch(self._resource, self._namespace, version):
                seen = True
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    self._apply(kind, item)
            if not seen:
                await asyncio.sleep(0.5)  # a server that closes at once must not be asked in a hot loop

    def _apply(self, kind: str, item: Object) -> None:
        if kind == "DELETED":
            self.objects.pop(self.key(item), None)
        else:
            self.objects[self.key(item)] = item
        for handler in self._handlers:
            handler(kind, item)


class WorkQueue:
    """Names waiting for one handler: each at most once, one at a time, failures again with a growing delay."""

    def __init__(self, label: str, handle: Callable[[str], Awaitable[None]]) -> None:
        self._label, self._handle = label, handle
        self._waiting: dict[str, None] = {}
        self._failures: dict[str, int] = {}
        self._arrived = asyncio.Event()

    def add(self, name: str) -> None:
        self._waiting[name] = None
        self._arrived.set()

    def add_later(self, name: str, seconds: float) -> None:
        asyncio.get_running_loop().call_later(seconds, self.add, name)

    async def run(self) -> None:
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                name = next(iter(self._waiting))
                del self._waiting[name]
                await self._handle_one(name)

    async def _handle_one(self, name: str) -> None:
        try:
            await self._handle(name)
        except Exception:
            failures = self._failures[name] = self._failures.get(name, 0) + 1
            log.exception("Reconciler error in %s for %s", self._label, name)
            self.add_later(name, min(0.1 * 2**failures, 30.0))
        else:
            self._failures.pop(name, None)
