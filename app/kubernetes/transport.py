"""One connection to one API server: kubernetes-asyncio's REST client with our own TLS, timeouts and error rules.

Its models, its watch and its dynamic client are not used; measured, they block the loop, loop hotly on a server
that closes at once, and give errors back as if they were results.
"""

import asyncio
import random
import ssl
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from app.documents import read_json
from app.errors import ServiceError
from app.kubernetes.deadlines import DEFAULT, Deadlines
from app.kubernetes.errors import (
    FRESH_KUBECONFIG,
    KubernetesUnavailable,
    KubernetesUntrusted,
    UntrustedKubeconfig,
    from_status,
)
from app.kubernetes.kubeconfig import Endpoint
from app.kubernetes.rest_client import RESTClientObject
from app.scratch import scratch_directory

#: What a fresh CRD answers with 429 and Retry-After 1, though it is served within tenths of a second.
INITIALIZING = "storage is (re)initializing"
DEFAULT_RETRY_SECONDS = 1.0
SHORTEST_RETRY_SECONDS = 0.1
#: How long the other side of a websocket may take to say goodbye.
CLOSE_SECONDS = 1.0
MOST_LINE_BYTES = 16 * 1024 * 1024
#: Connections of cancelled requests wait for the other side's goodbye; newer Pythons end them by themselves.
CLEAN_UP = sys.version_info < (3, 12, 7)
#: Each of these is a TLS connection of its own; more would cost more in handshakes than they win.
REQUESTS_AT_ONCE = 4


class Transport:
    """Requests with JSON in and out. Every one has a deadline; 429 is waited out; other errors are raised."""

    def __init__(self, endpoint: Endpoint, deadlines: Deadlines = DEFAULT) -> None:
        self._server = endpoint.server
        self._deadlines = deadlines
        self._gate = asyncio.Semaphore(REQUESTS_AT_ONCE)
        self._headers = {"Authorization": f"Bearer {endpoint.token}"} if endpoint.token else {}
        # Its own session reads proxy settings from the environment and files for TLS; ours has neither.
        self._rest = RESTClientObject.__new__(RESTClientObject)
        self._rest.proxy, self._rest.proxy_headers, self._rest.server_hostname = "", {}, ""
        self._rest.pool_manager = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100, ssl=_tls(endpoint), enable_cleanup_closed=CLEAN_UP),
            read_bufsize=2**20,
            # The cluster is on this host, or near: packing a list costs both sides more than sending its bytes.
            headers={"Accept-Encoding": "identity"},
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
        clock = asyncio.get_running_loop().time
        until = clock() + self._deadlines.patience
        while True:
            async with self._gate:
                status, headers, text = await self._once(method, path, query, body, content_type, accept)
            pause = _pause(headers, text)
            if status != 429 or clock() + pause > until:
                break
            await asyncio.sleep(pause)
        if not 200 <= status < 300:
            raise _error(status, headers, text)
        if accept == "text/plain":
            return text
        return _parsed(text, f"the API server answered {method} {path} with something else than a JSON object")

    async def server_time(self) -> datetime:
        """The API server's clock, to the second; raises ``KubernetesUnavailable`` for an answer without a date."""
        _, headers, _ = await self._once("GET", "/version", None, None, "application/json", "application/json")
        try:
            return parsedate_to_datetime(headers["Date"])
        except (KeyError, ValueError):
            raise KubernetesUnavailable("the API server's answer has no date") from None

    async def _once(
        self, method: str, path: str, query: dict[str, str] | None, body: Any, content_type: str, accept: str
    ) -> tuple[int, Any, str]:
        headers = self._headers | {"Content-Type": content_type, "Accept": f"{accept}, */*;q=0.1"}
        timeout = aiohttp.ClientTimeout(total=self._deadlines.read, sock_connect=self._deadlines.connect)
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
            raise _unreachable(f"the API server does not answer {method} {path}", error) from error

    @asynccontextmanager
    async def stream(self, path: str, query: dict[str, str]) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
        """The lines of a watch, parsed; too long a silence ends it with an error."""
        deadlines = self._deadlines
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=deadlines.connect, sock_read=deadlines.silence)
        try:
            async with asyncio.timeout(deadlines.read):
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
                    raise _error(response.status, response.headers, await response.text(errors="replace"))
                yield _lines(response.content)
            finally:
                # A watch has no end to read to; closing TLS politely would leave the socket to the collector.
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()
                response.close()
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(f"the watch of {path} broke", error) from error

    async def websocket(self, path: str, query: str, protocol: str) -> aiohttp.ClientWebSocketResponse:
        """A websocket to a subresource of the API server; raises as ``request`` does."""
        url = f"{self._server.replace('https://', 'wss://')}{path}?{query}"
        try:
            async with asyncio.timeout(self._deadlines.connect):
                socket: aiohttp.ClientWebSocketResponse = await self._rest.pool_manager.ws_connect(
                    url,
                    protocols=[protocol],
                    headers=self._headers,
                    max_msg_size=0,
                    timeout=aiohttp.ClientWSTimeout(ws_close=CLOSE_SECONDS),
                )
        except aiohttp.WSServerHandshakeError as error:
            # aiohttp keeps the status of a refused upgrade and throws its Status away.
            raise from_status(error.status, "", f"no websocket to {path}: answer {error.status}") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise _unreachable(f"no websocket to {path}", error) from error
        return socket


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[dict[str, Any]]:
    """JSON objects, one a line; anything else breaks the watch."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield _parsed(line, "the watch sent something else than an event")
        if len(rest) > MOST_LINE_BYTES:
            raise KubernetesUnavailable("a line of the watch is too long")
    if rest:
        raise KubernetesUnavailable("the watch ended in the middle of an event")


def _parsed(text: str | bytes, complaint: str) -> dict[str, Any]:
    try:
        document = read_json(text)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise KubernetesUnavailable(complaint)
    return document


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """The header in seconds; a date, which no API server sends, counts as none."""
    value = headers.get("Retry-After", "").strip()
    return float(value) if value.isdecimal() else None


def _pause(headers: Mapping[str, str], text: str) -> float:
    """How long a 429 is waited out: never shorter than the server asks, never not at all, never all at once."""
    asked = _retry_after(headers)
    seconds = max(DEFAULT_RETRY_SECONDS if asked is None else asked, SHORTEST_RETRY_SECONDS)
    if INITIALIZING in text:
        return seconds * random.uniform(0.1, 0.4)  # noqa: S311 - jitter
    return seconds * random.uniform(1.0, 1.2)  # noqa: S311 - jitter


def _error(status: int, headers: Mapping[str, str], text: str) -> ServiceError:
    """The error of an answer, whether it is a Status or a proxy's page."""
    try:
        document = read_json(text)
        reason, message = str(document.get("reason", "")), str(document.get("message", ""))
    except (ValueError, AttributeError):
        reason, message = "", f"answer {status} without a Status"
    return from_status(status, reason, message, retry_after_seconds=_retry_after(headers))


def _unreachable(what: str, error: Exception) -> ServiceError:
    """A certificate that does not fit stays so; everything else may pass."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return KubernetesUntrusted(
            f"{what}: its certificate is not of the kubeconfig's authority", remedy=FRESH_KUBECONFIG
        )
    return KubernetesUnavailable(f"{what}: {type(error).__name__}")


def _tls(endpoint: Endpoint) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cadata=endpoint.ca)
        if endpoint.client_certificate:
            _load_keys(context, endpoint)
    except (ssl.SSLError, TypeError):
        raise UntrustedKubeconfig("the kubeconfig's certificates or keys are not PEM") from None
    return context


def _load_keys(context: ssl.SSLContext, endpoint: Endpoint) -> None:
    # The ssl module takes client keys from files only; these live for the length of this call, 0600 in 0700.
    with scratch_directory() as directory:
        certificate, key = directory / "certificate", directory / "key"
        for path, content in ((certificate, endpoint.client_certificate), (key, endpoint.client_key)):
            path.touch(mode=0o600)
            path.write_bytes(content)
        context.load_cert_chain(certificate, key)
