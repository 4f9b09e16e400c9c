"""What stands before every route: loopback names only, no requests from other web pages, small JSON bodies.

A page in any browser on this machine can reach a loopback port. The ``Host`` check stops DNS rebinding (a foreign
name that resolves to 127.0.0.1); ``Sec-Fetch-Site`` and ``Origin`` stop pages that send requests openly. Reading is
refused like writing, and no CORS header is ever sent. Pure ASGI, so that nothing of a refused request is parsed.
"""

import logging
import re
from ipaddress import ip_address
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.tokens import TokenStore
from app.api.errors import BindingRefused, BodyTooLarge, CrossSiteRefused, HostNotAllowed, UnsupportedMediaType
from app.api.problems import problem_response
from app.errors import ServiceError
from app.settings import ServerSettings, is_loopback

MAX_BODY_BYTES = 64 * 1024
METHODS_WITH_BODY = frozenset({"POST", "PUT", "PATCH", "DELETE"})
DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"^(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._-]+))(?::(?P<port>\d{1,5}))?$")
_JSON = re.compile(r"^application/(?:[\w.+-]+\+)?json$")

_NO_CONTENT = "default-src 'none'; frame-ancestors 'none'"
#: Swagger UI is a page with an inline script; all it loads is served here.
_SWAGGER = (
    "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; frame-ancestors 'none'"
)
#: The dashboard has nothing inline, and no text of the service can become markup: nothing may turn text into any.
_DASHBOARD = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)
_POLICIES = {"/": _DASHBOARD, "/docs": _SWAGGER}
_HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cross-origin-opener-policy": b"same-origin",
    # Kept by the caller alone, and asked about each time: ETags then spare the body.
    b"cache-control": b"private, no-cache",
}

logger = logging.getLogger(__name__)


async def check_binding(server: ServerSettings, tokens: TokenStore) -> None:
    """Refuse to listen beyond this machine as long as no caller could show a token; raises ``BindingRefused``."""
    if is_loopback(server.host):
        return
    if not await tokens.any_operates():
        raise BindingRefused(
            f"the service will not listen on {server.host!r}: whoever reaches it could switch clusters off and read "
            "backups, and there is no token yet to tell callers apart",
            remedy="Make one with `kecs-state token create NAME`, or listen on 127.0.0.1 and reach it from elsewhere "
            "through an SSH tunnel.",
        )
    if server.tls_certificate is None:
        logger.warning(
            "listening on %s without TLS: tokens and answers can be read on the way; see --tls-certificate",
            server.host,
            extra={"action": "no-tls"},
        )


class SecurityHeaders:
    """Headers for browsers on every answer, refusals included."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, adding to the head of the answer."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [header for header in message["headers"] if header[0] not in _HEADERS]
                policy = (b"content-security-policy", _POLICIES.get(scope["path"], _NO_CONTENT).encode())
                message["headers"] = [*own, *_HEADERS.items(), policy]
            await send(message)

        await self.app(scope, receive, send_with_headers)


class InternalErrors:
    """What nobody expected: a problem that says nothing of the inside, and a log line that says it all."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; answer for an exception unless the answer has begun."""
        started = False

        async def note_start(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, note_start)
        except Exception:
            if started or scope["type"] != "http":
                raise
            logger.exception("%s %s failed", scope["method"], scope["path"], extra={"action": "request-crashed"})
            error = ServiceError("an unexpected error; the service's log has the details")
            await problem_response(error, scope)(scope, receive, send)


class LocalCallersOnly:
    """Refuses foreign ``Host`` names (421) and requests that other web pages make (403)."""

    def __init__(self, app: ASGIApp, server: ServerSettings) -> None:
        self.app = app
        self.allowed_hosts = frozenset(host.lower() for host in server.allowed_hosts)
        #: Rebinding needs a name; and where addresses beyond loopback are served, callers show tokens besides.
        self.serves_addresses = not is_loopback(server.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        refusal = self._refusal(Headers(scope=scope)) if scope["type"] in {"http", "websocket"} else None
        if refusal is None:
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            logger.warning("%s", refusal.detail, extra={"action": "request-refused", "code": refusal.code})
            await problem_response(refusal, scope)(scope, receive, send)

    def _refusal(self, headers: Headers) -> ServiceError | None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or not self._serves(hosts[0]):
            return HostNotAllowed(
                "the Host header does not name a loopback address",
                remedy="Use http://127.0.0.1 with the service's port. Further names are a setting: "
                "KECS_STATE_SERVER__ALLOWED_HOSTS='[\"name\"]'.",
            )
        site = headers.get("sec-fetch-site")
        foreign_origins = [origin for origin in headers.getlist("origin") if not _same_host(origin, hosts[0])]
        if site not in {None, "same-origin", "none"} or foreign_origins:
            return CrossSiteRefused(
                "a page of another site made this request through the browser",
                remedy="Use the service's own pages, or a client that is not a browser.",
            )
        return None

    def _serves(self, host: str) -> bool:
        match = _HOST.match(host)
        if match is None:
            return False
        name = match["v6"] or match["name"]
        return is_loopback(name) or name.lower() in self.allowed_hosts or (self.serves_addresses and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _same_host(origin: str, host: str) -> bool:
    """Whether an ``Origin`` is the very name and port the request went to; ``null`` never is."""
    parts = urlsplit(origin)
    default = DEFAULT_PORTS.get(parts.scheme)
    return default is not None and _with_port(parts.netloc, default) == _with_port(host, default)


def _with_port(host: str, default: int) -> tuple[str, int] | None:
    match = _HOST.match(host)
    if match is None:
        return None
    return (match["v6"] or match["name"]).lower(), int(match["port"] or default)


class SmallJsonBodies:
    """Refuses bodies over 64 KiB (413) and bodies that say they are not JSON (415)."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read the whole small body, then pass it on at once."""
        if scope["type"] != "http" or scope["method"] not in METHODS_WITH_BODY:
            await self.app(scope, receive, send)
            return
        body = bytearray()
        more = True
        while more and len(body) <= MAX_BODY_BYTES:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            more = message.get("more_body", False)
        refusal = _body_refusal(body, Headers(scope=scope).get("content-type", ""))
        if refusal is not None:
            # What was not read cannot be skipped on this connection.
            await problem_response(refusal, scope, {"Connection": "close"})(scope, receive, send)
            return
        await self.app(scope, _replayed(bytes(body), receive), send)


def _body_refusal(body: bytearray, content_type: str) -> ServiceError | None:
    if len(body) > MAX_BODY_BYTES:
        return BodyTooLarge(f"the body is larger than {MAX_BODY_BYTES} bytes", limit_bytes=MAX_BODY_BYTES)
    media_type = content_type.partition(";")[0].strip().lower()
    if body and media_type and not _JSON.match(media_type):
        return UnsupportedMediaType(
            f"the body is said to be {media_type!r}", remedy="Send it with the header 'Content-Type: application/json'."
        )
    return None


def _replayed(body: bytes, receive: Receive) -> Receive:
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay
