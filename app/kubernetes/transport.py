"""One connection to one API server: kubernetes-asyncio's REST client with our own TLS, timeouts and error rules.

Its models, its watch and its dynamic client are not used; measured, they block the loop, loop hotly on a server
that closes at once, and give errors back as if they were results.
"""

import asyncio
import json
import random
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from kubernetes_asyncio.client.rest import RESTClientObject

from app.errors import ServiceError
from app.kubernetes.errors import KubernetesUnavailable, from_status
from app.kubernetes.kubeconfig import Endpoint

CONNECT_SECONDS = 10
READ_SECONDS = 60
#: How long a 429 is waited out. A fresh CRD answers "storage is (re)initializing" for its first seconds.
PATIENCE_SECONDS = 30
MOST_LINE_BYTES = 16 * 1024 * 1024
#: Connections of cancelled requests wait for the other side's goodbye; newer Pythons end them by themselves.
CLEAN_UP = sys.version_info < (3, 12, 7)
#: Each of these is a TLS connection of its own; more would cost more in handshakes than they win.
REQUESTS_AT_ONCE = 4


class Transport:
    """Requests with JSON in and out. Every one has a deadline; 429 is waited out; other errors are raised."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._server = endpoint.server
        self._gate = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
        # Its own session reads proxy settings from the environment and files for TLS; ours has neither.
        self._rest = RESTClientObject.__new__(RESTClientObject)
        self._rest.proxy, self._rest.proxy_headers, self._rest.server_hostname = "", {}, ""
        self._rest.pool_manager = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100, ssl=_tls(endpoint), enable_cleanup_closed=CLEAN_UP),
            read_bufsize=2**20,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._rest.close()
        await asyncio.sleep(0)  # what was aborted is closed in the loop's next turn, which may be its last

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Any = None,
        content_type: str = "application/json",
        accept: str = "application/json",
    ) -> Any:
        """The parsed answer; raises one of ``app.kubernetes.errors`` for everything that is not a success."""
        until = asyncio.get_running_loop().time() + PATIENCE_SECONDS
        while True:
            async with self._gate:
                status, headers, text = await self._once(method, path, query, body, content_type, accept)
            if status != 429 or asyncio.get_running_loop().time() > until:
                break
            await asyncio.sleep(min(float(headers.get("Retry-After", 1)), 1.0) * random.uniform(0.1, 0.4))  # noqa: S311
        if not 200 <= status < 300:
            raise _error(status, text)
        if accept == "text/plain":
            return text
        try:
            return json.loads(text)
        except ValueError:
            raise KubernetesUnavailable(
                f"the API server answered {method} {path} with something else than JSON"
            ) from None

    async def _once(
        self, method: str, path: str, query: dict[str, str] | None, body: Any, content_type: str, accept: str
    ) -> tuple[int, Any, str]:
        headers = self._headers | {"Content-Type": content_type, "Accept": f"{accept}, */*;q=0.1"}
        timeout = aiohttp.ClientTimeout(total=READ_SECONDS, sock_connect=CONNECT_SECONDS)
        try:
            response = await self._rest.request(
                method,
                self._server + path,
                query_params=query,
                headers=headers,
                body=body,
                _preload_content=False,
                _request_timeout=timeout,
            )
            async with response:
                return response.status, response.headers, await response.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubernetesUnavailable(
                f"the API server does not answer {method} {path}: {type(error).__name__}"
            ) from error

    @asynccontextmanager
    async def stream(self, path: str, query: dict[str, str], *, silence_seconds: float) -> AsyncIterator[Any]:
        """The lines of a watch, parsed; silence longer than ``silence_seconds`` ends it with an error."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=silence_seconds)
        try:
            response = await self._rest.request(
                "GET",
                self._server + path,
                query_params=query,
                headers=self._headers | {"Accept": "application/json"},
                _preload_content=False,
                _request_timeout=timeout,
            )
            try:
                if response.status != 200:
                    raise _error(response.status, await response.text(errors="replace"))
                yield _lines(response.content)
            finally:
                # A watch has no end to read to; closing TLS politely would leave the socket to the collector.
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()
                response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubernetesUnavailable(f"the watch of {path} broke: {type(error).__name__}") from error

    async def websocket(self, path: str, query: str, protocol: str) -> aiohttp.ClientWebSocketResponse:
        """A websocket to a subresource of the API server."""
        url = f"{self._server.replace('https://', 'wss://')}{path}?{query}"
        try:
            async with asyncio.timeout(CONNECT_SECONDS):
                socket: aiohttp.ClientWebSocketResponse = await self._rest.pool_manager.ws_connect(
                    url, protocols=[protocol], headers=self._headers, max_msg_size=0, autoping=True
                )
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise KubernetesUnavailable(f"no websocket to {path}: {type(error).__name__}") from error
        return socket


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """JSON objects, one a line; anything else breaks the watch."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _parsed(line)
        if len(rest) > MOST_LINE_BYTES:
            raise KubernetesUnavailable("a line of the watch is too long")


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError:
        event = None
    if not isinstance(event, dict):
        raise KubernetesUnavailable("the watch sent something else than an event")
    return event


def _error(status: int, text: str) -> ServiceError:
    """The error of an answer, whether it is a Status or a proxy's page."""
    try:
        document = json.loads(text)
        return from_status(status, str(document.get("reason", "")), str(document.get("message", "")))
    except (ValueError, AttributeError):
        return from_status(status, "", f"answer {status} without a Status")


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=endpoint.ca)
    if endpoint.client_certificate:
        # The ssl module takes client keys from files only; these live for the length of this call, 0600 in 0700.
        with tempfile.TemporaryDirectory(prefix="kecs-state-") as directory:
            certificate, key = Path(directory) / "certificate", Path(directory) / "key"
            for path, content in ((certificate, endpoint.client_certificate), (key, endpoint.client_key)):
                path.touch(mode=0o600)
                path.write_bytes(content)
            context.load_cert_chain(certificate, key)
    return context
