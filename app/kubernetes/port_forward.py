"""A loopback port that leads to a Service's pod, through the API server's websocket port-forward.

kubernetes-asyncio has none. Protocol ``v4.channel.k8s.io``: binary frames whose first byte is the channel (0 data,
1 errors of the one port asked for); the first frame of each channel only repeats the port. One websocket carries
one TCP connection, and the pod is looked up for each, so a restarted pod is found again.
"""

import asyncio
import contextlib
import logging
import socket
from types import TracebackType
from typing import Self

import aiohttp

from app.errors import ServiceError
from app.kubernetes.client import KubeClient, Object
from app.kubernetes.errors import KubernetesUnavailable
from app.kubernetes.resources import PODS, SERVICES

logger = logging.getLogger(__name__)

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
        # Made here: when no descriptor is left, asyncio would give back a server without a socket.
        listener = socket.create_server(("127.0.0.1", 0))
        self._server = await asyncio.start_server(self._accept, sock=listener)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
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
        except (ServiceError, OSError, aiohttp.ClientError) as error:
            # The client sees its connection closed and says what that means for it; only we know why.
            logger.warning("port-forward to Service %s failed: %s", self._service, error)
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
        selected = service["spec"].get("selector")
        if not selected:
            raise KubernetesUnavailable(f"Service {self._service!r} selects no pods")
        selector = ",".join(f"{key}={value}" for key, value in selected.items())
        for pod in (await self._client.list(PODS, self._namespace, label_selector=selector)).items:
            if _is_ready(pod):
                return pod["metadata"]["name"], self._target_port(service)
        raise KubernetesUnavailable(f"no ready pod behind Service {self._service!r}")

    def _target_port(self, service: Object) -> int:
        for port in service["spec"]["ports"]:
            if port["port"] == self._port and isinstance(port.get("targetPort", self._port), int):
                return int(port.get("targetPort", self._port))
        raise KubernetesUnavailable(f"Service {self._service!r} has no numbered target for port {self._port}")


def _is_ready(pod: Object) -> bool:
    """A pod that is being deleted stays Ready for a while; a connection to it would soon be cut."""
    conditions = (pod.get("status") or {}).get("conditions") or []
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


async def _upload(reader: asyncio.StreamReader, socket: aiohttp.ClientWebSocketResponse) -> None:
    try:
        while chunk := await reader.read(CHUNK_BYTES):
            await socket.send_bytes(bytes([DATA]) + chunk)
    finally:
        # However the client went, the other side must hear of it, or it would wait for more for ever.
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
            raise KubernetesUnavailable(message.data[1:].decode(errors="replace")[:300])
        else:
            writer.write(message.data[1:])
            await writer.drain()
