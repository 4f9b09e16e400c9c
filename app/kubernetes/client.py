"""The API server as the service needs it: plain dictionaries in and out, errors raised, self-mending watches."""

import asyncio
import builtins
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from app.errors import ServiceError, StepTimeout
from app.kubernetes.errors import KubernetesExpired, KubernetesNotFound, KubernetesUnavailable
from app.kubernetes.kubeconfig import load
from app.kubernetes.resources import NAMESPACES, PODS, Resource
from app.ports import ClusterAccess

if TYPE_CHECKING:
    from app.kubernetes.transport import Transport

FIELD_MANAGER = "kecs-state"
PAGE_SIZE = 500
WATCH_SECONDS = 240
#: A watch that says nothing, not even a bookmark, for this long beyond its own end is dead.
SILENCE_SECONDS = WATCH_SECONDS + 30
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0

Object = dict[str, Any]


@dataclass(frozen=True)
class ObjectList:
    """A whole list, all pages of it."""

    items: list[Object]
    resource_version: str


@dataclass(frozen=True)
class WatchEvent:
    """``ADDED``, ``MODIFIED`` or ``DELETED``, with the object."""

    type: str
    object: Object


@dataclass(frozen=True)
class Discovery:
    """Every type in its group's preferred version, and the groups that could not be asked."""

    resources: list[Resource]
    failed_groups: list[str]


class KubeClient:
    """One cluster; use as an async context manager."""

    def __init__(self, transport: "Transport") -> None:
        self.transport = transport

    @classmethod
    async def connect(cls, access: ClusterAccess) -> "KubeClient":
        """A client for a kubeconfig of our own driver; nothing is sent yet."""
        # Here, since its libraries take most of a second to import: serving does not wait for them.
        from app.kubernetes.transport import Transport

        return cls(Transport(load(access)))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.transport.close()

    async def get(self, resource: Resource, name: str, namespace: str | None = None) -> Object:
        """One object; raises ``KubernetesNotFound``."""
        found: Object = await self.transport.request("GET", resource.path(namespace, name))
        return found

    async def find(self, resource: Resource, name: str, namespace: str | None = None) -> Object | None:
        """One object, or None when it or its type is not there."""
        try:
            return await self.get(resource, name, namespace)
        except KubernetesNotFound:
            return None

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> ObjectList:
        """Every object of a type, in pages; with ``metadata_only`` just their metadata."""
        query = {"limit": str(PAGE_SIZE)}
        if label_selector:
            query["labelSelector"] = label_selector
        if field_selector:
            query["fieldSelector"] = field_selector
        accept = "application/json"
        if metadata_only:
            accept += ";as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
        items: list[Object] = []
        while True:
            page = await self.transport.request("GET", resource.path(namespace), query=query, accept=accept)
            items += page.get("items") or []
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return ObjectList(items, str(metadata.get("resourceVersion", "")))
            query["continue"] = metadata["continue"]

    async def create(
        self, resource: Resource, body: Object, namespace: str | None = None, *, dry_run: bool = False
    ) -> Object:
        """Create an object; raises ``KubernetesAlreadyExists``. A dry run passes admission and stores nothing."""
        query = {"fieldManager": FIELD_MANAGER} | ({"dryRun": "All"} if dry_run else {})
        created: Object = await self.transport.request("POST", resource.path(namespace), query=query, body=body)
        return created

    async def apply(self, resource: Resource, body: Object) -> Object:
        """Server-side apply: the object becomes what ``body`` says, in the fields it names."""
        metadata = body["metadata"]
        applied: Object = await self.transport.request(
            "PATCH",
            resource.path(metadata.get("namespace"), metadata["name"]),
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=body,
            content_type="application/apply-patch+yaml",
        )
        return applied

    async def merge_patch(self, resource: Resource, name: str, patch: Object, namespace: str | None = None) -> Object:
        """Merge patch; with ``metadata.resourceVersion`` in it, it raises ``KubernetesConflict`` when stale."""
        patched: Object = await self.transport.request(
            "PATCH",
            resource.path(namespace, name),
            query={"fieldManager": FIELD_MANAGER},
            body=patch,
            content_type="application/merge-patch+json",
        )
        return patched

    async def delete(
        self, resource: Resource, name: str, namespace: str | None = None, *, grace_seconds: int | None = None
    ) -> bool:
        """Delete an object, dependents in the background; False if it was gone already."""
        options: Object = {"kind": "DeleteOptions", "apiVersion": "v1", "propagationPolicy": "Background"}
        if grace_seconds is not None:
            options["gracePeriodSeconds"] = grace_seconds
        try:
            await self.transport.request("DELETE", resource.path(namespace, name), body=options)
        except KubernetesNotFound:
            return False
        return True

    async def watch(
        self, resource: Resource, namespace: str | None = None, *, name: str | None = None
    ) -> AsyncGenerator[WatchEvent, None]:
        """What is there as ``ADDED``, then every change, for ever; the caller sets the deadline.

        An expired version or a broken connection leads to a new list, told as the changes that it amounts to.
        """
        selector = f"metadata.name={name}" if name else ""
        known: dict[tuple[str, str], Object] = {}
        pause = FIRST_PAUSE_SECONDS
        while True:
            try:
                listed = await self.list(resource, namespace, field_selector=selector)
                for event in _changes(known, listed.items):
                    yield event
                if name and not listed.items:
                    # It went before anybody looked; without this, who waits for its end would wait for ever.
                    yield WatchEvent("DELETED", {"metadata": {"name": name, "namespace": namespace or ""}})
                news = self._watch_from(resource, namespace, selector, listed.resource_version, known)
                async with aclosing(news):
                    async for event in news:
                        pause = FIRST_PAUSE_SECONDS
                        yield event
            except (KubernetesUnavailable, KubernetesExpired):
                pass
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _watch_from(
        self,
        resource: Resource,
        namespace: str | None,
        selector: str,
        version: str,
        known: dict[tuple[str, str], Object],
    ) -> AsyncGenerator[WatchEvent, None]:
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(WATCH_SECONDS),
            "resourceVersion": version,
        }
        if selector:
            query["fieldSelector"] = selector
        async with self.transport.stream(resource.path(namespace), query, silence_seconds=SILENCE_SECONDS) as lines:
            async for line in lines:
                kind, found = str(line.get("type")), line.get("object") or {}
                if kind == "ERROR":
                    raise KubernetesExpired(str(found.get("message", "the watch expired"))[:300])
                if kind == "BOOKMARK":
                    continue
                if kind == "DELETED":
                    known.pop(_identity(found), None)
                else:
                    known[_identity(found)] = found
                yield WatchEvent(kind, found)

    async def wait_for(
        self,
        resource: Resource,
        name: str,
        namespace: str | None,
        predicate: Callable[[Object | None], bool],
        *,
        timeout_seconds: float,
    ) -> Object | None:
        """Watch one object until ``predicate`` holds of it (None: it is not there); raises ``StepTimeout``."""
        try:
            async with asyncio.timeout(timeout_seconds):
                found = await self.find(resource, name, namespace)
                if predicate(found):
                    return found
                # Closed here and not by the collector, so that its connection never outlives the client.
                async with aclosing(self.watch(resource, namespace, name=name)) as events:
                    async for event in events:
                        current = None if event.type == "DELETED" else event.object
                        if predicate(current):
                            return current
        except TimeoutError:
            pass
        raise StepTimeout(f"{resource.kind} {name!r} was not as expected within {timeout_seconds:g} s")

    async def discover(self) -> Discovery:
        """Every type the server offers, each group in its preferred version."""
        groups: builtins.list[Object] = (await self.transport.request("GET", "/apis"))["groups"]
        wanted = [("", "v1")]
        wanted += [tuple(group["preferredVersion"]["groupVersion"].split("/")) for group in groups]
        results = await asyncio.gather(*(self._types(*group_version) for group_version in wanted))
        resources = [resource for found in results if found is not None for resource in found]
        failed = [group for (group, _), found in zip(wanted, results, strict=True) if found is None]
        return Discovery(resources, failed)

    async def _types(self, group: str, version: str) -> builtins.list[Resource] | None:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            found = (await self.transport.request("GET", path))["resources"]
        except ServiceError:
            return None
        return [
            Resource(group, version, entry["name"], entry["kind"], entry["namespaced"], frozenset(entry["verbs"]))
            for entry in found
            if "/" not in entry["name"]
        ]

    async def ready(self) -> bool:
        """Whether the server says it is ready; False also when it does not answer."""
        try:
            await self.transport.request("GET", "/readyz", accept="text/plain")
        except ServiceError:
            return False
        return True

    async def pod_log(self, namespace: str, pod: str, container: str) -> str:
        """What a container has written."""
        text: str = await self.transport.request(
            "GET", PODS.path(namespace, pod, "log"), query={"container": container}, accept="text/plain"
        )
        return text

    async def cluster_uid(self) -> str:
        """The UID of the kube-system namespace, which is a cluster's identity."""
        return str((await self.get(NAMESPACES, "kube-system"))["metadata"]["uid"])


def _identity(found: Object) -> tuple[str, str]:
    metadata = found.get("metadata") or {}
    return metadata.get("namespace", ""), metadata.get("name", "")


def _changes(known: dict[tuple[str, str], Object], items: list[Object]) -> list[WatchEvent]:
    """What a new list means for somebody who knows the old state; updates ``known``."""
    current = {_identity(item): item for item in items}
    events = [WatchEvent("DELETED", known.pop(key)) for key in list(known) if key not in current]
    for key, item in current.items():
        before = known.get(key)
        if before is None:
            events.append(WatchEvent("ADDED", item))
        elif before["metadata"].get("resourceVersion") != item["metadata"].get("resourceVersion"):
            events.append(WatchEvent("MODIFIED", item))
        known[key] = item
    return events
