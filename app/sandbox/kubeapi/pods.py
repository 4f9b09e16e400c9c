"""Logs and port-forwards of pods. The kubelet knows both; its address stands in an annotation of the Node."""

import asyncio
import json
import struct
from contextlib import suppress

import aiohttp
from aiohttp import web

from app.sandbox.kubeapi import tunnel
from app.sandbox.kubeapi.failures import Failure, bad_request, internal_error
from app.sandbox.kubeapi.objects import entries, mapping
from app.sandbox.kubeapi.requests import flag, number
from app.sandbox.kubeapi.store import Key, Record, Store

KUBELET_URL = "sandbox.kecs.dev/kubelet-url"
PROTOCOL = "v4.channel.k8s.io"
_TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=3)
_CONNECT_SECONDS = 5
_FOLLOW_SECONDS = 0.2
_CHUNK = 64 * 1024
_DATA, _ERROR = b"\x00", b"\x01"


async def log_text(store: Store, pod: Record, request: web.Request) -> web.StreamResponse:
    """The container's log so far, or with ``follow`` until the pod ends; ``tailLines`` is honoured."""
    query = request.query
    containers = [one.get("name") for one in entries(mapping(pod.obj, "spec"), "containers")]
    container = query.get("container", "")
    known = [*containers, *(one.get("name") for one in entries(mapping(pod.obj, "spec"), "initContainers"))]
    if container and container not in known:
        raise bad_request(f"container {container} is not valid for pod {pod.key.name}")
    if not container and len(containers) > 1:
        raise bad_request(f"a container name must be specified for pod {pod.key.name}, choose one of: {containers}")
    if not mapping(pod.obj, "spec").get("nodeName"):
        return web.Response(status=204)
    tail = number(query, "tailLines")
    url = f"{_kubelet_url(store, pod)}/logs/{pod.key.namespace}/{pod.key.name}/{container or '_'}"
    whole = await _ask(url)
    text = whole
    if tail is not None:
        text = b"".join(whole.splitlines(keepends=True)[-tail:] if tail else [])
    if not flag(query, "follow"):
        return web.Response(body=text, content_type="text/plain")
    return await _follow(store, pod, request, url, text, len(whole))


async def _follow(
    store: Store, pod: Record, request: web.Request, url: str, text: bytes, sent: int
) -> web.StreamResponse:
    """``text``, then what the log has beyond its first ``sent`` bytes."""
    response = web.StreamResponse(headers={"Content-Type": "text/plain"})
    response.enable_chunked_encoding()
    await response.prepare(request)
    with suppress(ConnectionError, Failure):
        await response.write(text)
        while (now := store.get(pod.key)) and now.uid == pod.uid and not _has_ended(now):
            await asyncio.sleep(_FOLLOW_SECONDS)
            if news := (await _ask(url))[sent:]:
                await response.write(news)
                sent += len(news)
        await response.write_eof()
    return response


def _has_ended(pod: Record) -> bool:
    return mapping(pod.obj, "status").get("phase") in {"Succeeded", "Failed"}


async def port_forward(store: Store, pod: Record, request: web.Request) -> web.StreamResponse:
    """By websocket: one connection in channels, or any number of them tunnelled."""
    offered = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if request.headers.get("Upgrade", "").lower() != "websocket" or not {PROTOCOL, tunnel.PROTOCOL} & set(offered):
        raise bad_request(f"Upgrade request required: websocket with {PROTOCOL} or {tunnel.PROTOCOL}")
    base = f"{_kubelet_url(store, pod)}/endpoint/{pod.key.namespace}/{pod.key.name}"
    if tunnel.PROTOCOL not in offered:
        return await _forward_one(base, request)
    socket = web.WebSocketResponse(protocols=[tunnel.PROTOCOL], max_msg_size=0)
    await socket.prepare(request)
    await tunnel.Tunnel(socket, lambda port: _connect(f"{base}/{port}")).run()
    return socket


async def _forward_one(base: str, request: web.Request) -> web.StreamResponse:
    """One TCP connection per websocket: channel 0 carries its bytes, channel 1 the reason why there is none."""
    port = number(request.query, "ports")
    if port is None:
        raise bad_request("ports: Required value: exactly one port")
    socket = web.WebSocketResponse(protocols=[PROTOCOL], max_msg_size=0)
    await socket.prepare(request)
    # Each channel opens with its port, little-endian.
    for channel in (_DATA, _ERROR):
        await socket.send_bytes(channel + struct.pack("<H", port))
    try:
        reader, writer = await _connect(f"{base}/{port}")
    except (OSError, TimeoutError, ValueError, KeyError, Failure) as error:
        why = f"error forwarding port {port}: {error}"
        await socket.send_bytes(_ERROR + why.encode())
    else:
        await _proxy(socket, reader, writer)
    await socket.close()
    return socket


async def _connect(url: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    endpoint = json.loads(await _ask(url))
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await asyncio.open_connection(endpoint["host"], int(endpoint["port"]))


async def _proxy(socket: web.WebSocketResponse, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either side ends the connection."""

    async def outwards() -> None:
        while data := await reader.read(_CHUNK):
            await socket.send_bytes(_DATA + data)

    async def inwards() -> None:
        async for message in socket:
            if message.type is aiohttp.WSMsgType.BINARY and message.data[:1] == _DATA:
                writer.write(message.data[1:])
                await writer.drain()

    tasks = [asyncio.create_task(outwards()), asyncio.create_task(inwards())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        # A connection reset by either side ends the forward like any other end.
        await asyncio.gather(*tasks, return_exceptions=True)
        writer.close()


def _kubelet_url(store: Store, pod: Record) -> str:
    node_name = mapping(pod.obj, "spec").get("nodeName")
    if not node_name:
        raise bad_request(f"pod {pod.key.name} does not have a host assigned")
    node = store.get(Key("nodes", "", str(node_name)))
    url = mapping(node.metadata, "annotations").get(KUBELET_URL) if node else None
    if not url:
        raise internal_error(f"the kubelet of node {node_name} is not known")
    return str(url).rstrip("/")


async def _ask(url: str) -> bytes:
    try:
        async with aiohttp.ClientSession(timeout=_TIMEOUT) as session, session.get(url) as response:
            content = await response.read()
            if response.status >= 400:
                raise Failure(response.status, "NotFound", content.decode(errors="replace"))
            return content
    except (aiohttp.ClientError, TimeoutError) as error:
        raise internal_error(f"Get {url!r}: {error or 'timeout'}") from error
