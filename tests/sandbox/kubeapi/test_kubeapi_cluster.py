"""Discovery, definitions, the process and its memory and pods."""

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.sandbox.api_server import RunningApi, running_api
from tests.sandbox.kubeapi.conftest import Client, connected, definition, pod_spec

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def test_discovery(client: Client) -> None:
    """Groups and resources, with and without a slash at the end."""
    groups = {group["name"] for group in (await client.get("/apis/"))["groups"]}
    core = {one["name"]: one for one in (await client.get("/api/v1"))["resources"]}
    assert groups >= {"apps", "batch", "rbac.authorization.k8s.io", "apiextensions.k8s.io"}
    assert core["configmaps"]["shortNames"] == ["cm"]
    assert (await client.get("/version"))["gitVersion"] == "v1.34.4"


async def test_without_the_token_nobody_enters(api: RunningApi, client: Client) -> None:
    """401 as a Status."""
    headers = {"Authorization": "Bearer wrong"}
    async with client.session.get(api.url + "/api/v1/namespaces", headers=headers) as response:
        assert (response.status, (await response.json())["reason"]) == (401, "Unauthorized")


async def test_a_namespace_is_furnished(client: Client) -> None:
    """The default ServiceAccount and the CA bundle appear on their own."""
    for path in (client.path("serviceaccounts", "default"), client.path("configmaps", "kube-root-ca.crt")):
        await client.until(path, lambda status, _: status == 200)


async def test_a_new_cluster_has_its_own_objects(client: Client) -> None:
    """What Kubernetes itself would have made."""
    for path in (
        "/api/v1/namespaces/default/services/kubernetes",
        "/apis/rbac.authorization.k8s.io/v1/clusterroles/cluster-admin",
        "/apis/scheduling.k8s.io/v1/priorityclasses/system-node-critical",
        "/apis/apiregistration.k8s.io/v1/apiservices/v1.apps",
    ):
        assert await client.status("GET", path) == 200, path


async def test_a_definition_serves_at_once(client: Client) -> None:
    """Its objects can be made with the next request; they go with it."""
    group = f"{client.namespace}.example"
    path = client.path("widgets", api=f"/apis/{group}/v1")
    created = await client.ok("POST", CRDS, definition("widgets", group, "Widget"))
    await client.create(path, "a", spec={"size": 1}, status={"kept": True})
    assert "Established" in {one["type"] for one in created["status"]["conditions"]}
    assert (await client.get(path))["items"][0]["status"] == {"kept": True}
    await client.until(f"/apis/apiregistration.k8s.io/v1/apiservices/v1.{group}", lambda status, _: status == 200)
    await client.ok("DELETE", f"{CRDS}/widgets.{group}")
    await client.until_gone(path)


async def test_a_declared_status_is_separate(client: Client) -> None:
    """Custom resources have a status subresource only if their definition says so."""
    group = f"{client.namespace}.example"
    path = client.path("gears", api=f"/apis/{group}/v1")
    await client.ok("POST", CRDS, definition("gears", group, "Gear", subresources={"status": {}}))
    created = await client.create(path, "a", spec={}, status={"dropped": True})
    changed = await client.patch(path + "/a/status", {"status": {"ready": True}})
    assert "status" not in created
    assert changed["status"] == {"ready": True}


async def test_nothing_is_lost_by_a_kill(directory: Path) -> None:
    """Objects, port, CA and the count of versions survive."""
    async with running_api(directory) as api, connected(api) as client:
        created = await client.create("/api/v1/namespaces/default/configmaps", "a", data={"k": "v"})
        api.process.kill()
        await api.process.wait()
    async with running_api(directory) as again, connected(again) as client:
        found = await client.get("/api/v1/namespaces/default/configmaps/a")
        later = await client.create("/api/v1/namespaces/default/configmaps", "b")
    assert found["metadata"] == created["metadata"]
    assert again.kubeconfig == api.kubeconfig
    assert int(later["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])


async def test_open_watches_do_not_delay_the_end(directory: Path) -> None:
    """SIGTERM ends them."""
    async with running_api(directory) as api, connected(api) as client, client.watch("/api/v1/pods") as events:
        api.process.terminate()
        async with asyncio.timeout(10):
            assert await anext(events, None) is None
            assert await api.process.wait() == 0


@asynccontextmanager
async def serving(handler: Any) -> AsyncIterator[str]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@asynccontextmanager
async def kubelet(client: Client) -> AsyncIterator[None]:
    """A node with one pod ``a``: its log is a line, its port an echo."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.read(100))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)

    async def answer(request: web.Request) -> web.Response:
        if request.path.startswith("/logs/"):
            return web.Response(text=f"log of {request.path}\n")
        port = server.sockets[0].getsockname()[1] if request.path.endswith("/80") else 1
        return web.json_response({"host": "127.0.0.1", "port": port})

    async with serving(answer) as url, server:
        annotations = {"sandbox.kecs.dev/kubelet-url": url}
        await client.create("/api/v1/nodes", client.namespace, metadata={"annotations": annotations})
        await client.create(client.path("pods"), "a", spec=pod_spec(nodeName=client.namespace))
        yield


async def test_logs_come_from_the_kubelet(client: Client) -> None:
    """As text."""
    async with kubelet(client):
        status, text = await client.request("GET", client.path("pods", "a") + "/log", container="main")
    assert (status, text) == (200, f"log of /logs/{client.namespace}/a/main\n")


@pytest.mark.parametrize(("port", "expected"), [(80, b"\x00hello"), (81, b"\x01error forwarding port 81")])
async def test_port_forward(client: Client, port: int, expected: bytes) -> None:
    """Bytes on channel 0, or the reason why there are none on channel 1."""
    url = f"{client.url}{client.path('pods', 'a')}/portforward?ports={port}"
    async with kubelet(client), client.session.ws_connect(url, protocols=["v4.channel.k8s.io"]) as socket:
        headers = [await socket.receive_bytes() for _ in range(2)]
        await socket.send_bytes(b"\x00hello")
        answer = await socket.receive()
        connection = socket._response.connection
        # A farewell in TLS could outlive the test's loop.
        if connection is not None and connection.transport is not None:
            connection.transport.abort()
    assert headers == [bytes([channel]) + struct.pack("<H", port) for channel in (0, 1)]
    assert answer.type is aiohttp.WSMsgType.BINARY
    assert answer.data.startswith(expected)
