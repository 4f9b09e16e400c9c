"""kubectl's port-forward: SPDY streams in one websocket, two for each connection, its bytes and its error."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress

import aiohttp
from aiohttp import web

from app.sandbox.kubeapi.failures import Failure
from app.sandbox.kubeapi.spdy import FIN, PING, RST_STREAM, SYN_STREAM, BadFrame, Frame, Reader, Writer

PROTOCOL = "SPDY/3.1+portforward.k8s.io"
_CHUNK = 64 * 1024
log = logging.getLogger(__name__)
Connect = Callable[[int], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Tunnel:
    """All connections of one websocket; ``connect`` opens one to a port of the pod."""

    def __init__(self, socket: web.WebSocketResponse, connect: Connect) -> None:
        self._socket = socket
        self._connect = connect
        self._writer = Writer()
        self._errors: dict[str, int] = {}
        """The error stream of each connection, by its number."""
        self._incoming: dict[int, asyncio.Queue[bytes]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client goes."""
        reader = Reader()
        try:
            async for message in self._socket:
                if message.type is aiohttp.WSMsgType.BINARY:
                    for frame in reader.feed(message.data):
                        await self._take(frame)
        except BadFrame as error:
            log.warning("port-forward: %s", error)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _take(self, frame: Frame) -> None:
        if frame.control == PING:
            await self._socket.send_bytes(self._writer.pong(frame))
        elif frame.control == SYN_STREAM:
            await self._open(frame)
        elif frame.control == RST_STREAM:
            self._end(frame.stream)
        elif frame.control == 0 and frame.stream in self._incoming:
            if frame.payload:
                self._incoming[frame.stream].put_nowait(frame.payload)
            if frame.flags & FIN:
                self._end(frame.stream)

    def _end(self, stream: int) -> None:
        """The client sends no more; an empty item says so."""
        if stream in self._incoming:
            self._incoming[stream].put_nowait(b"")

    async def _open(self, frame: Frame) -> None:
        await self._socket.send_bytes(self._writer.reply(frame.stream))
        number, port = frame.headers.get("requestid", ""), frame.headers.get("port", "")
        if frame.headers.get("streamtype") == "error":
            self._errors[number] = frame.stream
        elif frame.headers.get("streamtype") == "data" and port.isdecimal():
            self._incoming[frame.stream] = asyncio.Queue()
            task = asyncio.create_task(self._forward(frame.stream, self._errors.pop(number, 0), int(port)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _forward(self, stream: int, errors: int, port: int) -> None:
        """One connection; both its streams are closed at the end, which is what kubectl waits for."""
        problem = b""
        try:
            reader, writer = await self._connect(port)
        except (OSError, TimeoutError, ValueError, KeyError, Failure) as error:
            problem = f"error forwarding port {port}: {error}".encode()
        else:
            await self._proxy(stream, reader, writer)
        self._incoming.pop(stream)
        with suppress(ConnectionError):
            await self._socket.send_bytes(self._writer.data(stream, b"", last=True))
            if errors:
                await self._socket.send_bytes(self._writer.data(errors, problem, last=True))

    async def _proxy(self, stream: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the pod has ended the connection."""
        upward = asyncio.create_task(self._upward(stream, writer))
        try:
            while data := await reader.read(_CHUNK):
                await self._socket.send_bytes(self._writer.data(stream, data))
        except ConnectionError:
            log.debug("a forwarded connection was reset")
        finally:
            upward.cancel()
            await asyncio.gather(upward, return_exceptions=True)
            writer.close()

    async def _upward(self, stream: int, writer: asyncio.StreamWriter) -> None:
        while data := await self._incoming[stream].get():
            writer.write(data)
            await writer.drain()
        writer.write_eof()
