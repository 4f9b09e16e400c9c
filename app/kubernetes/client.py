"""The API server as the service needs it: plain dictionaries in and out, errors raised, self-mending watches."""

import asyncio
import builtins
import contextlib
import random
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from app.concurrency import side_by_side
from app.errors import ServiceError, StepTimeout
from app.kubernetes.deadlines import DEFAULT, Deadlines
from app.kubernetes.errors import (
    KubernetesError,
    KubernetesExpired,
    KubernetesNotFound,
    KubernetesUnavailable,
    from_status,
)
from app.kubernetes.kubeconfig import load
from app.kubernetes.resources import NAMESPACES, PODS, Resource
from app.ports import ClusterAccess

if TYPE_CHECKING:
    from app.kubernetes.transport import Transport

FIELD_MANAGER = "kecs-state"
PAGE_SIZE = 500
FIRST_PAUSE_SECONDS = 0.1
LONGEST_PAUSE_SECONDS = 5.0
_EVENTS = {"ADDED", "MODIFIED", "DELETED", "BOOKMARK", "ERROR"}

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

    def __init__(self, transport: "Transport", deadlines: Deadlines) -> None:
        self.transport = transport
        self._deadlines = deadlines

    @classmethod
    async def connect(cls, access: ClusterAccess, deadlines: Deadlines = DEFAULT) -> "KubeClient":
        """A client for a kubeconfig of our own driver; nothing is sent yet. Raises ``UntrustedKubeconfig``."""
        # Here, since its libraries take most of a second to import: serving does not wait for them.
        from app.kubernetes.transport import Transport

        return cls(Transport(load(access), deadlines), deadlines)

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

    async def find_all(
        self, resource: Resource, namespace: str | None = None, *, metadata_only: bool = False
    ) -> builtins.list[Object]:
        """Every object of a type; none when the type is not there (any more)."""
        try:
            return (await self.list(resource, namespace, metadata_only=metadata_only)).items
        except KubernetesNotFound:
            return []

    async def list(
        self,
        resource: Resource,
        namespace: str | None = None,
        *,
        label_selector: str = "",
        field_selector: str = "",
        metadata_only: bool = False,
    ) -> ObjectList:
        """Every object of a type, in pages; with ``metadata_only`` just their metadata.

        Pages are of one moment. When the server forgets that moment in between, everything is listed at once.
        """
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
            try:
                page = await self.transport.request("GET", resource.path(namespace), query=query, accept=accept)
            except KubernetesExpired:
                if "continue" not in query:
                    raise
                del query["continue"], query["limit"]
                items = []
                continue
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

        A watch that ends goes on where it ended. An expired version or a broken connection leads to a new list, told
        as the changes that it amounts to. Raises what will not pass by itself, such as ``KubernetesForbidden``.
        """
        clock = asyncio.get_running_loop().time
        selector = f"metadata.name={name}" if name else ""
        known: dict[tuple[str, str], Object] = {}
        version, pause = "", FIRST_PAUSE_SECONDS
        while True:
            began, asked = clock(), 0.0
            try:
                if not version:
                    listed = await self.list(resource, namespace, field_selector=selector)
                    for event in _changes(known, listed.items, (namespace or "", name)):
                        yield event
                    version = listed.resource_version
                async with aclosing(self._watch_from(resource, namespace, selector, version)) as news:
                    async for event in news:
                        version = event.object["metadata"].get("resourceVersion") or version
                        if event.type != "BOOKMARK":
                            _remember(known, event)
                            yield event
            except (KubernetesUnavailable, KubernetesExpired) as error:
                version = ""
                asked = getattr(error, "retry_after_seconds", None) or 0.0
            if clock() - began > LONGEST_PAUSE_SECONDS:
                pause = FIRST_PAUSE_SECONDS
            await asyncio.sleep(max(asked, pause) * random.uniform(1.0, 1.5))  # noqa: S311 - jitter
            pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    async def _watch_from(
        self, resource: Resource, namespace: str | None, selector: str, version: str
    ) -> AsyncGenerator[WatchEvent, None]:
        """One watch until the server ends it, bookmarks included."""
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(self._deadlines.watch),
            "resourceVersion": version,
        }
        if selector:
            query["fieldSelector"] = selector
        async with self.transport.stream(resource.path(namespace), query) as lines:
            async for line in lines:
                kind, found = line.get("type"), line.get("object")
                if kind not in _EVENTS or not isinstance(found, dict):
                    raise KubernetesUnavailable("the watch sent an event of no known type")
                if kind == "ERROR":
                    raise from_status(found.get("code", 500), found.get("reason", ""), found.get("message", ""))
                yield WatchEvent(kind, {"metadata": {}} | found)

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
                with contextlib.suppress(KubernetesUnavailable):
                    # A type that is not there has no objects either, but cannot be watched.
                    if predicate(found := await self.find(resource, name, namespace)):
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
        """Every type the server offers, each group in its preferred version.

        A group counts as failed when the server says so; a connection that breaks would make whole groups of living
        objects look dead, so it is raised.
        """
        groups: builtins.list[Object] = (await self.transport.request("GET", "/apis"))["groups"]
        wanted = [("", "v1")]
        wanted += [tuple(group["preferredVersion"]["groupVersion"].split("/")) for group in groups]
        results = await side_by_side(*(self._types(*group_version) for group_version in wanted))
        resources = [resource for found in results if found is not None for resource in found]
        failed = [group for (group, _), found in zip(wanted, results, strict=True) if found is None]
        return Discovery(resources, failed)

    async def _types(self, group: str, version: str) -> builtins.list[Resource] | None:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            found = (await self.transport.request("GET", path))["resources"]
        except (KubernetesError, KubernetesUnavailable) as error:
            if not group or "http_status" not in error.extras:
                raise
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


def _remember(known: dict[tuple[str, str], Object], event: WatchEvent) -> None:
    if event.type == "DELETED":
        known.pop(_identity(event.object), None)
    else:
        known[_identity(event.object)] = event.object


def _changes(
    known: dict[tuple[str, str], Object], items: list[Object], wanted: tuple[str, str | None]
) -> list[WatchEvent]:
    """What a new list means for somebody who knows the old state; updates ``known``.

    An object made anew under its old name was deleted in between. If the one ``wanted`` is not there, it is told as
    deleted even to somebody who never saw it: who waits for its end would wait for ever.
    """
    current = {_identity(item): item for item in items}
    gone = [
        key for key in known if key not in current or _metadata(known[key], "uid") != _metadata(current[key], "uid")
    ]
    events = [WatchEvent("DELETED", known.pop(key)) for key in gone]
    namespace, name = wanted
    if name and not items and not events:
        events.append(WatchEvent("DELETED", {"metadata": {"name": name, "namespace": namespace}}))
    for key, item in current.items():
        before = known.get(key)
        if before is None:
            events.append(WatchEvent("ADDED", item))
        elif _metadata(before, "resourceVersion") != _metadata(item, "resourceVersion"):
            events.append(WatchEvent("MODIFIED", item))
        known[key] = item
    return events


def _metadata(found: Object, key: str) -> Any:
    return found["metadata"].get(key)
