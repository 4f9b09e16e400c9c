"""An API server that follows a test's script: a double on the far side of the wire, over real TLS and websockets.

It plays what the sandbox's API server cannot be brought to do: expire, stall, break off, ask for patience, lie.
"""

import asyncio
import base64
import json
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from app.sandbox.kubeapi.pki import ensure_certificates

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]
PROTOCOL = "v4.channel.k8s.io"


class ScriptedServer:
    """Answers each kind of request (``list``, ``watch``, ``POST`` …) from its own script; the last line repeats."""

    def __init__(self, kubeconfig: dict[str, Any]) -> None:
        self.kubeconfig = kubeconfig
        self.script: dict[str, list[Answer]] = {}
        self.requests: list[web.Request] = []
        self.bodies: list[bytes] = []
        self.left = asyncio.Event()

    def seen(self, kind: str) -> list[web.Request]:
        """The requests of one kind so far."""
        return [request for request in self.requests if _kind(request) == kind]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Note the request and play the next line."""
        self.requests.append(request)
        self.bodies.append(await request.read())
        lines = self.script[_kind(request)]
        try:
            return await (lines.pop(0) if len(lines) > 1 else lines[0])(request)
        except (ConnectionResetError, asyncio.CancelledError):
            self.left.set()
            raise


def _kind(request: web.Request) -> str:
    if request.path.endswith("/portforward"):
        return "portforward"
    if request.method == "GET":
        return "watch" if "watch" in request.query else "list"
    return request.method


@asynccontextmanager
async def scripted(directory: Path, **script: list[Answer]) -> AsyncIterator[ScriptedServer]:
    """The server, with certificates of its own."""
    ca, certificate, key = ensure_certificates(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    server = ScriptedServer({})
    server.script = script
    runner = web.ServerRunner(web.Server(server.handle, handler_cancellation=True), shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    server.kubeconfig = kubeconfig(f"https://127.0.0.1:{runner.addresses[0][1]}", ca.read_bytes())
    try:
        yield server
    finally:
        await runner.cleanup()


def kubeconfig(url: str, ca: bytes, **user: Any) -> dict[str, Any]:
    """A document as a power driver makes it."""
    cluster = {"server": url, "certificate-authority-data": base64.b64encode(ca).decode()}
    return {
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": cluster}],
        "users": [{"name": "one", "user": user or {"token": "s3cret-token"}}],
    }


def config_map(name: str, version: int, uid: str = "") -> dict[str, Any]:
    """An object as a list or an event shows it."""
    return {"metadata": {"name": name, "namespace": "default", "uid": uid or name, "resourceVersion": str(version)}}


def page(version: int, *items: dict[str, Any], more: str = "") -> Answer:
    """One page of a list."""
    return plays({"items": list(items), "metadata": {"resourceVersion": str(version), "continue": more}})


def status(code: int, reason: str = "", message: str = "no", **headers: str) -> Answer:
    """A refusal in the API server's own form; underscores in header names stand for hyphens."""
    body = {"kind": "Status", "code": code, "reason": reason, "message": message}
    return plays(body, code, {name.replace("_", "-"): value for name, value in headers.items()})


def plays(body: Any, code: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A fixed answer; text goes out as it is, everything else as JSON."""

    async def answer(_: web.Request) -> web.StreamResponse:
        text = body if isinstance(body, str) else json.dumps(body)
        return web.Response(text=text, status=code, headers=headers, content_type="application/json")

    return answer


def event(kind: str, found: dict[str, Any]) -> dict[str, Any]:
    """A line of a watch."""
    return {"type": kind, "object": found}


def streams(*events: dict[str, Any] | str, then: str = "close") -> Answer:
    """A watch that sends these events; ``then`` it may ``close``, ``stay`` silent or ``break`` its connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for each in events:
            await response.write((each if isinstance(each, str) else json.dumps(each) + "\n").encode())
        if then == "break":
            assert request.transport is not None
            request.transport.abort()
        elif then == "stay":
            await asyncio.sleep(60)
        return response

    return answer


async def silence(_: web.Request) -> web.StreamResponse:
    """Take the request and never say a word."""
    await asyncio.sleep(60)
    raise AssertionError("somebody waited for a silent server")


class Pods:
    """The pod's side of port-forwards: what runs on a socket once its two channels are open."""

    def __init__(self, behaviour: Callable[[web.WebSocketResponse], Awaitable[None]]) -> None:
        self._behaviour = behaviour
        self.counts = Counter[str]()

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        """One websocket; ``counts`` says how many were opened and how many have ended."""
        socket = web.WebSocketResponse(protocols=[PROTOCOL], max_msg_size=0)
        await socket.prepare(request)
        self.counts["opened"] += 1
        for channel in (b"\x00", b"\x01"):
            await socket.send_bytes(channel + struct.pack("<H", int(request.query["ports"])))
        try:
            await self._behaviour(socket)
        finally:
            self.counts["ended"] += 1
        return socket
