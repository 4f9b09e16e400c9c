"""One API server for all tests; every test has a namespace of its own."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.sandbox.api_server import RunningApi, running_api

_numbers = count(1)
_MEDIA = {
    "merge": "application/merge-patch+json",
    "json": "application/json-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Client:
    """Plain requests; an answer is its status and its parsed body."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self.session = session
        self.url = url
        self.namespace = ""

    async def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        media: str = "application/json",
        accept: str = "*/*",
        **query: str,
    ) -> tuple[int, Any]:
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        headers = {"Accept": accept} | ({} if data is None else {"Content-Type": media})
        while True:
            async with self.session.request(
                method, self.url + path, data=data, headers=headers, params=query
            ) as response:
                raw = await response.read()
            if response.status != 429:
                break
            await asyncio.sleep(0.01)
        return response.status, json.loads(raw) if response.content_type == "application/json" else raw.decode()

    async def ok(self, method: str, path: str, body: Any = None, **options: str) -> Any:
        status, answer = await self.request(method, path, body, **options)
        assert status < 300, answer
        return answer

    async def get(self, path: str, **options: str) -> Any:
        return await self.ok("GET", path, **options)

    async def create(self, path: str, name: str, **content: Any) -> Any:
        metadata = {"name": name, **content.pop("metadata", {})}
        return await self.ok("POST", path, {"metadata": metadata, **content})

    async def patch(self, path: str, body: Any, how: str = "merge", **query: str) -> Any:
        return await self.ok("PATCH", path, body, media=_MEDIA[how], **query)

    async def apply(self, path: str, body: Any, manager: str, **query: str) -> tuple[int, Any]:
        return await self.request("PATCH", path, body, media=_MEDIA["apply"], fieldManager=manager, **query)

    async def status(self, method: str, path: str, body: Any = None, **options: str) -> int:
        return (await self.request(method, path, body, **options))[0]

    def path(self, plural: str, name: str = "", api: str = "/api/v1") -> str:
        """In the test's own namespace."""
        return f"{api}/namespaces/{self.namespace}/{plural}" + (f"/{name}" if name else "")

    async def until(self, path: str, holds: Callable[[int, Any], bool]) -> Any:
        async with asyncio.timeout(10):
            while True:
                status, answer = await self.request("GET", path)
                if holds(status, answer):
                    return answer
                await asyncio.sleep(0.01)

    async def until_gone(self, path: str) -> None:
        await self.until(path, lambda status, _: status == 404)

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[AsyncIterator[tuple[str, Any]]]:
        async with self.session.get(self.url + path, params={"watch": "true", **query}) as response:
            assert response.status == 200, await response.text()
            transport = response.connection.transport if response.connection else None
            try:
                yield _events(response)
            finally:
                # A farewell in TLS could outlive the test's loop.
                if transport is not None:
                    transport.abort()


async def _events(response: aiohttp.ClientResponse) -> AsyncIterator[tuple[str, Any]]:
    while line := await response.content.readline():
        event = json.loads(line)
        yield event["type"], event["object"]


@asynccontextmanager
async def connected(api: RunningApi) -> AsyncIterator[Client]:
    context = ssl.create_default_context(cafile=str(api.ca_file))
    headers = {"Authorization": f"Bearer {api.token}"}
    connector = aiohttp.TCPConnector(ssl=context)
    async with aiohttp.ClientSession(connector=connector, headers=headers) as session:
        yield Client(session, api.url)
    # Connections that were cut end in the loop's next rounds.
    for _ in range(5):
        await asyncio.sleep(0)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApi]:
    async with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
async def client(api: RunningApi) -> AsyncIterator[Client]:
    async with connected(api) as one:
        one.namespace = f"test-{next(_numbers)}"
        await one.create("/api/v1/namespaces", one.namespace)
        yield one


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cluster"


def pod_spec(**changes: Any) -> dict[str, Any]:
    return {"containers": [{"name": "main", "image": "registry.invalid/app:1"}], **changes}


def workload_spec(**changes: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    return {
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": pod_spec()},
        **changes,
    }


def definition(plural: str, group: str, kind: str, *, subresources: dict[str, Any] | None = None) -> dict[str, Any]:
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    if subresources is not None:
        version["subresources"] = subresources
    names = {"plural": plural, "kind": kind, "shortNames": [plural[:2]]}
    return {
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {"group": group, "scope": "Namespaced", "names": names, "versions": [version]},
    }
