"""A receiver on a loopback port that answers as it is told to and keeps what it got."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from standardwebhooks import Webhook

from tests.waiting import eventually


@dataclass(frozen=True)
class Got:
    """One request."""

    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        """The message's id."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> dict[str, Any]:
        """The message, if its signature is right by the reference implementation."""
        message: dict[str, Any] = Webhook(secret).verify(self.body, self.headers)
        return message


@dataclass(frozen=True)
class Answer:
    """What to answer, after how long."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0


@dataclass
class Receiver:
    """Answers with ``answers`` in turn, then with ``always``."""

    port: int = 0
    got: list[Got] = field(default_factory=list)
    answers: list[Answer] = field(default_factory=list)
    always: Answer = Answer()
    at_once: int = 0
    most_at_once: int = 0

    def url(self, path: str = "/hook", user_info: str = "", host: str = "127.0.0.1") -> str:
        """Where it listens."""
        return f"http://{user_info}{host}:{self.port}{path}"

    async def receive(self, request: web.Request) -> web.Response:
        """Keep the request, then answer."""
        self.got.append(Got(request.path_qs, {k.lower(): v for k, v in request.headers.items()}, await request.read()))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            answer = self.answers.pop(0) if self.answers else self.always
            await asyncio.sleep(answer.seconds)
        finally:
            self.at_once -= 1
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def has(self, number: int, seconds: float = 15) -> list[Got]:
        """What it got, once it is that much."""

        async def enough() -> bool:
            return len(self.got) >= number

        await eventually(enough, seconds)
        return self.got


@asynccontextmanager
async def listening(receiver: Receiver, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    """The receiver up until the block ends; its port stays the same from then on."""
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", receiver.receive)
    runner = web.AppRunner(application, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", receiver.port, reuse_address=True, ssl_context=tls).start()
        receiver.port = runner.addresses[0][1]
        yield receiver
    finally:
        await runner.cleanup()
