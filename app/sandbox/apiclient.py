"""The Kubernetes API as the emulator uses it: plain requests with aiohttp, raw dictionaries."""

import asyncio
import base64
import json
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import yaml

from app.sandbox.objects import Object

if TYPE_CHECKING:
    import aiohttp  # 0.1 s to import, for which a service need not wait that drives a sandbox and is not ready yet

#: By which the API server knows the cluster's own components, whom its fault switches spare.
USER_AGENT = "kecs-state-sandbox"
PAGE_SIZE = 500
_REQUEST_SECONDS, _CONNECT_SECONDS = 60, 5
#: A new type answers 429 for some milliseconds.
_PATIENCE_SECONDS = 0.02
_WATCH_SECONDS = 280


@dataclass(frozen=True)
class ResourceType:
    """One served resource; ``name`` is Velero's way to write it (``deployments.apps``, ``pods``)."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool
    verbs: frozenset[str] = field(default_factory=frozenset, compare=False)
    aliases: tuple[str, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        return f"{self.plural}.{self.group}" if self.group else self.plural

    @property
    def api_version(self) -> str:
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        parts = ["/apis", self.group, self.version] if self.group else ["/api", self.version]
        if namespace:
            parts += ["namespaces", namespace]
        parts.append(self.plural)
        if name:
            parts.append(name)
        return "/".join(parts)


class ApiError(Exception):
    """An answer other than success; ``str()`` is the API server's own message."""

    def __init__(self, http_status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.reason = reason

    @property
    def not_found(self) -> bool:
        return self.http_status == 404

    @property
    def already_exists(self) -> bool:
        return self.reason == "AlreadyExists"


class ObjectList(NamedTuple):
    items: list[Object]
    resource_version: str


class KubernetesApi:
    """One session with one API server. Raises ApiError, or aiohttp.ClientError / TimeoutError for the wire."""

    def __init__(self, server: str, ca: bytes, token: str) -> None:
        self._server = server.rstrip("/")
        self._context = ssl.create_default_context(cadata=ca.decode()) if ca else None
        self._headers = {"Authorization": f"Bearer {token}", "User-Agent": USER_AGENT}
        self._open: aiohttp.ClientSession | None = None

    @classmethod
    def from_kubeconfig(cls, path: Path) -> Self:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        ca = base64.b64decode(cluster.get("certificate-authority-data", ""))
        if not ca and "certificate-authority" in cluster:
            ca = Path(cluster["certificate-authority"]).read_bytes()
        return cls(cluster["server"], ca, user["token"])

    async def __aenter__(self) -> Self:
        from aiohttp import ClientSession, ClientTimeout, TCPConnector

        connector = TCPConnector(limit=64, ssl=self._context or True)
        timeout = ClientTimeout(total=_REQUEST_SECONDS, sock_connect=_CONNECT_SECONDS)
        self._open = ClientSession(connector=connector, headers=self._headers, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def _session(self) -> "aiohttp.ClientSession":
        if self._open is None:
            raise RuntimeError("the session is opened by 'async with'")
        return self._open

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: Object | None = None,
        content_type: str = "application/json",
    ) -> Object:
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": content_type}
        while True:
            async with self._session.request(
                method, self._server + path, params=query, data=data, headers=headers
            ) as response:
                raw = await response.read()
            if response.status != 429:
                break
            await asyncio.sleep(_PATIENCE_SECONDS)
        if response.status >= 400:
            raise _error(response.status, raw)
        parsed: Object = json.loads(raw)
        return parsed

    async def get(self, resource: ResourceType, name: str, namespace: str = "") -> Object:
        return await self.request("GET", resource.path(namespace, name))

    async def find(self, resource: ResourceType, name: str, namespace: str = "") -> Object | None:
        try:
            return await self.get(resource, name, namespace)
        except ApiError as error:
            if error.not_found:
                return None
            raise

    async def list(self, resource: ResourceType, namespace: str = "", label_selector: str = "") -> ObjectList:
        """Every object, by pages; each carries the kind and apiVersion that lists leave out."""
        items: list[Object] = []
        query = {"limit": str(PAGE_SIZE)}
        if label_selector:
            query["labelSelector"] = label_selector
        while True:
            page = await self.request("GET", resource.path(namespace), query=query)
            items += (
                {**item, "apiVersion": resource.api_version, "kind": resource.kind} for item in page.get("items") or ()
            )
            metadata = page.get("metadata") or {}
            if not metadata.get("continue"):
                return ObjectList(items, str(metadata.get("resourceVersion", "")))
            query["continue"] = metadata["continue"]

    async def create(self, resource: ResourceType, body: Object, namespace: str = "") -> Object:
        return await self.request("POST", resource.path(namespace), body=body)

    async def merge_patch(self, resource: ResourceType, name: str, patch: Object, namespace: str = "") -> Object:
        path = resource.path(namespace, name)
        return await self.request("PATCH", path, body=patch, content_type="application/merge-patch+json")

    async def delete(self, resource: ResourceType, name: str, namespace: str = "") -> None:
        """Asks for deletion; an object that is not there is as good as deleted."""
        try:
            await self.request("DELETE", resource.path(namespace, name))
        except ApiError as error:
            if not error.not_found:
                raise

    async def watch(
        self, resource: ResourceType, namespace: str, resource_version: str
    ) -> AsyncIterator[tuple[str, Object]]:
        """Events after ``resource_version`` until the server ends the stream; ApiError 410 asks for a new list."""
        from aiohttp import ClientTimeout

        timeout = ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_WATCH_SECONDS + 30)
        query = {
            "watch": "true",
            "allowWatchBookmarks": "true",
            "timeoutSeconds": str(_WATCH_SECONDS),
            "resourceVersion": resource_version,
        }
        url = self._server + resource.path(namespace)
        async with self._session.get(url, params=query, timeout=timeout) as response:
            if response.status >= 400:
                raise _error(response.status, await response.read())
            pending = b""
            async for chunk in response.content.iter_any():
                *lines, pending = (pending + chunk).split(b"\n")
                for line in lines:
                    if line.strip():
                        event: dict[str, Any] = json.loads(line)
                        if event["type"] == "ERROR":
                            raise _error(int(event["object"].get("code", 500)), json.dumps(event["object"]).encode())
                        yield event["type"], event["object"]


def _error(http_status: int, raw: bytes) -> ApiError:
    try:
        status = json.loads(raw)
        return ApiError(http_status, str(status.get("reason", "")), str(status.get("message", "")) or raw.decode())
    except (ValueError, AttributeError):
        return ApiError(http_status, "", raw.decode(errors="replace")[:200] or f"HTTP status {http_status}")
