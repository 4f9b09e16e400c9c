"""Short forms for behaviours of the API server: objects to make, requests as they are, watches read event by event."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from app.kubernetes.resources import CONFIG_MAPS, PODS, SERVICE_ACCOUNTS, Resource
from tests.contract.world import Answer, World

Object = dict[str, Any]
JSON = "application/json"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
SECONDS = 15


def config_map(name: str, namespace: str = "", **data: str) -> Object:
    """A ConfigMap; with a namespace it can be applied."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


def deployment(name: str, namespace: str = "", **spec: Any) -> Object:
    """A Deployment that runs nothing."""
    metadata = {"name": name} | ({"namespace": namespace} if namespace else {})
    labels = {"app": name}
    pod = {"containers": [{"name": "main", "image": "registry.k8s.io/pause:3.10"}]}
    template = {"metadata": {"labels": labels}, "spec": pod}
    wanted = {"replicas": 0, "selector": {"matchLabels": labels}, "template": template} | spec
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": wanted}


async def make(world: World, namespace: str, *names: str, **metadata: Any) -> list[Object]:
    """ConfigMaps of these names."""
    bodies = [{"metadata": {"name": name} | metadata, "data": {"key": name}} for name in names]
    return [await world.kube.create(CONFIG_MAPS, body, namespace) for body in bodies]


async def make_pod(world: World, namespace: str, **spec: Any) -> Object:
    """A pod named ``one`` that nothing runs, if its node or node selector does not exist."""
    await world.kube.wait_for(
        SERVICE_ACCOUNTS, "default", namespace, lambda found: found is not None, timeout_seconds=SECONDS
    )
    body = {"metadata": {"name": "one"}, "spec": {"containers": [{"name": "main", "image": "pause"}]} | spec}
    return await world.kube.create(PODS, body, namespace)


async def send(world: World, method: str, path: str, body: Any = None, content_type: str = JSON) -> Answer:
    """One request; nothing is retried, nothing is raised."""
    return await world.http(method, path, body, Content_Type=content_type)


async def refusal(
    world: World, method: str, path: str, body: Any = None, content_type: str = JSON
) -> tuple[int, str, str]:
    """Status, reason and message of an answer that must be a Status in the API server's own form."""
    answer = await send(world, method, path, body, content_type)
    told = answer.json
    assert (told["kind"], told["status"], told["code"]) == ("Status", "Failure", answer.status)
    return answer.status, told.get("reason", ""), told["message"]


async def put(world: World, resource: Resource, body: Object) -> Object:
    """Replace an object with ``body``."""
    metadata = body["metadata"]
    answered: Object = await world.kube.transport.request(
        "PUT", resource.path(metadata.get("namespace"), metadata["name"]), body=body
    )
    return answered


async def apply_as(world: World, manager: str, resource: Resource, body: Object, *, force: bool = False) -> Answer:
    """Server-side apply under another name than the service's."""
    path = resource.path(body["metadata"].get("namespace"), body["metadata"]["name"])
    query = f"?fieldManager={manager}&force={str(force).lower()}"
    return await send(world, "PATCH", path + query, body, APPLY)


async def until_gone(world: World, resource: Resource, name: str, namespace: str | None = None) -> None:
    """Wait until an object is not there any more."""
    async with asyncio.timeout(SECONDS):
        while await world.kube.find(resource, name, namespace) is not None:
            await asyncio.sleep(0.05)


@asynccontextmanager
async def watching(world: World, path: str, **query: str) -> AsyncIterator["Events"]:
    """A watch as it is, without the service's own mending."""
    wanted = {"watch": "true", "timeoutSeconds": "30"} | query
    async with world.kube.transport.stream(path, wanted) as lines:
        yield Events(lines)


class Events:
    """The events of one watch."""

    def __init__(self, lines: AsyncIterator[Object]) -> None:
        self._lines = lines

    async def next(self, number: int) -> list[Object]:
        """So many events; raises TimeoutError when they do not come."""
        async with asyncio.timeout(SECONDS):
            return [await anext(self._lines) for _ in range(number)]

    async def names(self, number: int) -> list[tuple[str, str]]:
        """So many events as their type and the object's name."""
        return [(event["type"], event["object"]["metadata"]["name"]) for event in await self.next(number)]

    async def rest(self) -> list[Object]:
        """Every event up to the watch's end."""
        async with asyncio.timeout(SECONDS):
            return [event async for event in self._lines]
