"""A loopback port that leads to a Service's pod, through the API server's websocket port-forward.

kubernetes-asyncio has none. Protocol ``v4.channel.k8s.io``: binary frames whose first byte is the channel (0 data,
1 errors of the one port asked for); the first frame of each channel only repeats the port. One websocket carries
one TCP connection, and the pod is looked up for each, so a restarted pod is found again.
"""

import asyncio
import contextlib
from types import TracebackType
from typing import Self

import aiohttp

from app.errors import ServiceError
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesUnavailable
from app.kubernetes.resources import PODS, SERVICES

PROTOCOL = "v4.channel.k8s.io"
DATA, ERROR = 0, 1
CHUNK_BYTES = 64 * 1024


class PortForward:
    """Listens on ``url`` while open; closes every connection at its end."""

    def __init__(self, client: KubeClient, namespace: str, service: str, port: int) -> None:
        self._client = client
        self._namespace = namespace
        self._service = service
        self._port = port
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.close()
        for task in list(self._connections):
            task.cancel()
        if self._connections:
            await asyncio.wait(self._connections, timeout=5)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - asyncio runs this callback as a task
        self._connections.add(task)
        try:
            await self._forward(reader, writer)
        except (ServiceError, OSError, aiohttp.ClientError):
            # The client sees its connection closed and says what that means for it.
            pass
        except asyncio.CancelledError:
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pod, port = await self._backend()
        path = PODS.path(self._namespace, pod, "portforward")
        socket = await self._client.transport.websocket(path, f"ports={port}", PROTOCOL)
        async with socket:
            upward = asyncio.create_task(_upload(reader, socket), name=f"port-forward {pod}")
            try:
                await _download(socket, writer)
            finally:
                upward.cancel()
                with contextlib.suppress(asyncio.CancelledError, OSError, aiohttp.ClientError):
                    await upward

    async def _backend(self) -> tuple[str, int]:
        """A ready pod of the Service, and the container port behind the Service's port."""
        service = await self._client.get(SERVICES, self._service, self._namespace)
        selector = ",".join(f"{key}={value}" for key, value in service["spec"]["selector"].items())
        for pod in (await self._client.list(PODS, self._namespace, label_selector=selector)).items:
            conditions = (pod.get("status") or {}).get("conditions") or []
            if any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions):
                return pod["metadata"]["name"], self._target_port(service)
        raise KubernetesUnavailable(f"no ready pod behind Service {self._service!r}")

    def _target_port(self, service: dict[str, object]) -> int:
        for port in service["spec"]["ports"]:  # type: ignore[index]
            if port["port"] == self._port and isinstance(port.get("targetPort", self._port), int):
                return int(port.get("targetPort", self._port))
        raise KubernetesUnavailable(f"Service {self._service!r} has no numbered target for port {self._port}")


async def _upload(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    while chunk := await reader.read(CHUNK_BYTES):
        await socket.send_bytes(bytes([DATA]) + chunk)
    await socket.close()


async def _download(socket: aiohttp.ClientWebSocketResponse, writer: asyncio.StreamWriter) -> None:
    introduced: set[int] = set()
    async for message in socket:
        if message.type is not aiohttp.WSMsgType.BINARY or not message.data:
            continue
        channel = message.data[0]
        if channel not in introduced:
            introduced.add(channel)
        elif channel == ERROR:
            return
        else:
            writer.write(message.data[1:])
            await writer.drain()
