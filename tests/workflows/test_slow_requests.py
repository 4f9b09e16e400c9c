"""Five hundred callers who send or read as slowly as they can, at a service with a real instance."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.product import Product, sandbox_product
from tests.waiting import eventually

CALLERS = 500
RECEIVE_SECONDS = 4
HOST = b"Host: 127.0.0.1\r\n"
#: What each kind sends at first, and then a byte of again and again.
KINDS = [
    (b"", b""),
    (b"GET /read", b"y"),
    (b"GET /readyz HTTP/1.1\r\n" + HOST + b"X: ", b"x"),
    (b"POST /webhooks HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n{", b" "),
    (b"GET /livez HTTP/1.1\r\n" + HOST + b"Content-Length: 60000\r\n\r\n", b" "),
    (4 * (b"GET /docs/static/swagger-ui-bundle.js HTTP/1.1\r\n" + HOST + b"\r\n"), b""),
]


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """A service whose deadlines are short."""
    async with sandbox_product(
        tmp_path, SERVER__RECEIVE_SECONDS=str(RECEIVE_SECONDS), SERVER__UNREAD_SECONDS=str(RECEIVE_SECONDS)
    ) as running:
        yield running


class SlowCaller(asyncio.Protocol):
    """Sends a byte each second and reads nothing; ``ended`` is set once the service has had enough."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take nothing of what comes."""
        assert isinstance(transport, asyncio.Transport)
        transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the base class's name
        """The service has closed it, which a write has shown, or the attack is over."""
        self.ended.set()


async def be_slow(port: int, first: bytes, byte: bytes, enough: asyncio.Event) -> None:
    """One caller, who comes again when the service has closed its connection, and in the end holds the last one."""
    loop = asyncio.get_running_loop()
    while not enough.is_set():
        transport, protocol = await loop.create_connection(SlowCaller, "127.0.0.1", port)
        try:
            transport.write(first)
            again = time.monotonic() + 2 * RECEIVE_SECONDS
            while enough.is_set() or (time.monotonic() < again and not protocol.ended.is_set()):
                if not protocol.ended.is_set():
                    transport.write(byte)
                await asyncio.sleep(1)
        finally:
            transport.abort()


@contextlib.asynccontextmanager
async def slow_callers(product: Product) -> AsyncIterator[asyncio.Event]:
    """All of them until the block ends; none comes again once it sets the event."""
    enough = asyncio.Event()
    async with asyncio.TaskGroup() as callers:
        tasks = [
            callers.create_task(be_slow(product.service.port, *KINDS[number % len(KINDS)], enough))
            for number in range(CALLERS)
        ]
        yield enough
        for task in tasks:
            task.cancel()


@pytest.mark.timeout(240)
async def test_slow_callers_hold_nobody_up(product: Product) -> None:
    """A whole stop goes on beside them, the service says it is ready, and lets go of each that stays."""
    process = psutil.Process(product.service.pid)
    before, memory = process.num_fds(), process.memory_info().rss
    waits = []
    async with slow_callers(product) as enough:
        await eventually(lambda: holds(process.num_fds() > before + CALLERS // 2))
        stopping = asyncio.create_task(product.stop())
        while not stopping.done():
            asked = time.monotonic()
            ready = await product.service.client.get("/readyz")
            assert ready.status_code == 200, ready.text
            waits.append(time.monotonic() - asked)
            await asyncio.sleep(0.5)
        enough.set()
        await eventually(lambda: holds(process.num_fds() <= before + 10), seconds=5 * RECEIVE_SECONDS)
    assert (await stopping)["status"] == "succeeded"
    assert product.state() == "stopped"
    assert sorted(waits)[len(waits) // 2] < 2
    assert process.memory_info().rss - memory < 150 * 1024**2


async def holds(fact: bool) -> bool:
    """For ``eventually``."""
    return fact
