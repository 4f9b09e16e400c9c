"""Port-forward over a websocket, the only way from the host into the cluster."""

import asyncio
import struct

import aiohttp
import pytest

from app.kubernetes.errors import KubernetesError, KubernetesNotFound
from app.kubernetes.port_forward import DATA, ERROR, PROTOCOL, PortForward
from app.kubernetes.resources import PODS
from tests.contract.api import SECONDS, make_pod, send
from tests.contract.world import World

POD, PORT = "minio-0", 9000
HEALTH = b"GET /minio/health/live HTTP/1.0\r\nHost: minio\r\n\r\n"


async def forward(world: World, port: int) -> aiohttp.ClientWebSocketResponse:
    """A websocket to a port of MinIO's pod."""
    return await world.kube.transport.websocket(PODS.path("velero", POD, "portforward"), f"ports={port}", PROTOCOL)


async def frames(socket: aiohttp.ClientWebSocketResponse, number: int) -> list[bytes]:
    """So many binary frames."""
    async with asyncio.timeout(SECONDS):
        return [(await socket.receive_bytes()) for _ in range(number)]


async def test_the_protocol_is_agreed(awake: World) -> None:
    """``v4.channel.k8s.io``: one byte of channel before every frame."""
    async with await forward(awake, PORT) as socket:
        assert socket.protocol == PROTOCOL


async def test_every_channel_opens_with_its_port(awake: World) -> None:
    """The first frame of each channel repeats the port in two bytes, which is no data."""
    async with await forward(awake, PORT) as socket:
        first = await frames(socket, 2)
    assert sorted(first) == [bytes([channel]) + struct.pack("<H", PORT) for channel in (DATA, ERROR)]


async def test_bytes_go_through(awake: World) -> None:
    """Whatever is sent on the data channel reaches the pod, and its answer comes back."""
    async with await forward(awake, PORT) as socket:
        await frames(socket, 2)
        await socket.send_bytes(bytes([DATA]) + HEALTH)
        [answer] = await frames(socket, 1)
    assert answer[0] == DATA
    assert answer[1:].startswith(b"HTTP/1.")


async def test_a_port_where_nobody_listens(awake: World) -> None:
    """The reason comes on the error channel; a pod that is still starting answers so."""
    async with await forward(awake, 9) as socket:
        found = await frames(socket, 3)
    [told] = [frame[1:] for frame in found if frame[0] == ERROR and len(frame) > 3]
    assert b"9" in told


async def test_a_pod_that_is_not_there(world: World) -> None:
    """404 instead of the upgrade."""
    path = PODS.path("default", "none", "portforward")
    with pytest.raises(KubernetesNotFound):
        await world.kube.transport.websocket(path, "ports=80", PROTOCOL)


async def test_a_pod_without_a_node(world: World, namespace: str) -> None:
    """400 instead of the upgrade: there is nothing to connect to yet."""
    await make_pod(world, namespace, nodeSelector={"no": "node"})
    with pytest.raises(KubernetesError) as refused:
        await world.kube.transport.websocket(PODS.path(namespace, "one", "portforward"), "ports=80", PROTOCOL)
    assert refused.value.extras["http_status"] == 400


async def test_a_request_without_an_upgrade(awake: World) -> None:
    """400: a port-forward is a websocket or nothing."""
    answer = await send(awake, "GET", PODS.path("velero", POD, "portforward") + f"?ports={PORT}")
    assert answer.status == 400


async def test_connections_side_by_side(awake: World) -> None:
    """One websocket each, as many as a download needs; the object store refuses whoever brings no keys."""
    async with PortForward(awake.kube, "velero", "minio", PORT) as opened, aiohttp.ClientSession() as session:

        async def denied() -> int:
            async with session.get(opened.url, headers={"Connection": "close"}) as answer:
                return answer.status

        assert await asyncio.gather(*(denied() for _ in range(8))) == [403] * 8
