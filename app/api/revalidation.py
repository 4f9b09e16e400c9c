"""Strong ETags for JSON answers to GET, and 304 for whoever has that answer (RFC 9110, 8.8 and 13.1.2)."""

from hashlib import sha256

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

JSON = "application/json"
#: For more bytes at once hashlib lets go of the interpreter's lock, and waits for it behind threads of the database.
_AT_ONCE = 2047


class Revalidation:
    """Holds a JSON answer until it is whole, names it by its content, and leaves it out if the caller has it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; only whole JSON answers are held."""
        if scope["type"] != "http" or scope["method"] not in {"GET", "HEAD"}:
            await self.app(scope, receive, send)
            return
        known = Headers(scope=scope).get("if-none-match", "")
        start: Message | None = None
        body = bytearray()

        async def hold(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start" and _may_be_named(message):
                start = message
                return
            if start is None:
                await send(message)
                return
            body.extend(message.get("body", b""))
            if not message.get("more_body", False):
                await _send_named(start, bytes(body), known, send)

        await self.app(scope, receive, hold)


def _may_be_named(start: Message) -> bool:
    return start["status"] == 200 and Headers(raw=start["headers"]).get("content-type", "").partition(";")[0] == JSON


async def _send_named(start: Message, body: bytes, known: str, send: Send) -> None:
    tag = tag_of(body)
    headers = MutableHeaders(raw=start["headers"])
    headers["ETag"] = tag
    if _has(known, tag):
        del headers["Content-Length"]
        del headers["Content-Type"]
        start["status"], body = 304, b""
    await send(start)
    await send({"type": "http.response.body", "body": body})


def tag_of(body: bytes) -> str:
    """The strong ETag of an answer with this body."""
    digest = sha256()
    for start in range(0, len(body), _AT_ONCE):
        digest.update(body[start : start + _AT_ONCE])
    return f'"{digest.hexdigest()[:32]}"'


def matches(wanted: str, tag: str) -> bool:
    """Whether ``If-Match`` allows a change of what has this tag; a weak one never matches (RFC 9110, 13.1.1)."""
    return any(part.strip() in {tag, "*"} for part in wanted.split(","))


def _has(known: str, tag: str) -> bool:
    """Whether ``If-None-Match`` names the tag; a weak one matches too, as the comparison here is a weak one."""
    return any(part.strip().removeprefix("W/") in {tag, "*"} for part in known.split(","))
