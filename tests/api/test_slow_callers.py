"""Callers that keep the service waiting: for a request, or for somebody to read the answer."""

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from app.settings import ServerSettings
from tests.api.serving import ServedApi, served_api
from tests.service import RunningService, running_service
from tests.waiting import eventually

#: Deadlines of the service in these tests, in seconds.
RECEIVE = 0.6
UNREAD = 0.6
#: What a deadline may be late on a busy machine.
LATE = 10
STREAM = {"Accept": "text/event-stream"}
HEAD = b"POST /webhooks HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    """A service of short deadlines and few places."""
    server = ServerSettings(receive_seconds=RECEIVE, unread_seconds=UNREAD, max_connections=6, max_wait_seconds=20)
    async with served_api(tmp_path, server) as served:
        yield served


@dataclass
class Caller:
    """One connection, byte by byte."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def drip(self, byte: bytes) -> None:
        """Send it again and again, almost to the deadline: what meets a close may cost the caller the answer."""
        until = asyncio.get_running_loop().time() + 0.7 * RECEIVE
        while asyncio.get_running_loop().time() < until:
            self.writer.write(byte)
            await asyncio.sleep(RECEIVE / 10)

    async def rest(self) -> bytes:
        """What comes until the service closes the connection."""
        async with asyncio.timeout(RECEIVE + LATE):
            return await self.reader.read()

    async def answer(self) -> bytes:
        """The head of one answer, its body taken."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        await self.reader.readexactly(int(length.partition(b":")[2]))
        return head


@contextlib.asynccontextmanager
async def calling(port: int, first: bytes = b"", buffer: int | None = None) -> AsyncIterator[Caller]:
    """A connection on which that was sent; ``buffer`` is what the system takes before anybody reads, in bytes."""
    with socket.socket() as plain:
        if buffer is not None:
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        plain.setblocking(False)
        await asyncio.get_running_loop().sock_connect(plain, ("127.0.0.1", port))
        caller = Caller(*await asyncio.open_connection(sock=plain, limit=1024))
        caller.writer.write(first)
        yield caller
        caller.writer.transport.abort()


def places(api: ServedApi) -> int:
    """Connections that the service has open."""
    return len(api.server.server_state.connections)


def problem(answer: bytes) -> dict[str, object]:
    """The document of the only answer on a connection."""
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"content-type: application/problem+json" in head.lower()
    found: dict[str, object] = json.loads(body)
    return found | {"status line": head.partition(b"\r\n")[0]}


@pytest.mark.parametrize(
    ("first", "byte"),
    [(b"GET /re", b"y"), (b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ", b"x"), (HEAD, b" ")],
    ids=["line", "head", "body"],
)
async def test_a_request_that_never_ends_is_refused(api: ServedApi, first: bytes, byte: bytes) -> None:
    """With 408, whatever is still coming; nothing of it stays."""
    async with calling(api.port, first) as caller:
        await caller.drip(byte)
        refused = problem(await caller.rest())
    assert refused["code"] == "request-too-slow"
    assert refused["status line"] == b"HTTP/1.1 408 Request Timeout"
    await eventually(lambda: is_so(places(api) == 0 and not api.server.server_state.tasks))


async def is_so(fact: bool) -> bool:
    """For ``eventually``."""
    return fact


async def test_a_body_nobody_asked_for_does_not_hold_the_connection(api: ServedApi) -> None:
    """The answer is given at once; that more is announced keeps nothing open."""
    async with calling(api.port, HEAD.replace(b"POST /webhooks", b"GET /livez")) as caller:
        await caller.drip(b" ")
        assert (await caller.answer()).startswith(b"HTTP/1.1 200")
        assert await caller.rest() == b""


async def test_who_says_nothing_is_left(api: ServedApi) -> None:
    """Without a word."""
    async with calling(api.port) as caller:
        assert await caller.rest() == b""


async def test_a_second_request_has_a_deadline_of_its_own(api: ServedApi) -> None:
    """Also where its beginning came together with the first."""
    async with calling(api.port, b"GET /livez HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET /li") as caller:
        assert (await caller.answer()).startswith(b"HTTP/1.1 200")
        assert problem(await caller.rest())["code"] == "request-too-slow"


async def test_waiting_for_a_job_and_following_are_not_slow(api: ServedApi) -> None:
    """The service is who takes its time; a connection between two requests is nobody's."""
    job = (await api.client.post("/instances/off/start")).json()
    [connection] = api.server.server_state.connections
    async with api.client.stream("GET", f"/jobs/{job['id']}/events", headers=STREAM) as stream:
        lines = stream.aiter_lines()
        assert await anext(lines) == "retry: 1000"
        waited = await api.client.get(f"/jobs/{job['id']}", params={"wait": 3 * RECEIVE})
        assert waited.json()["finished_at"] is None
        assert connection in api.server.server_state.connections
        api.gate.opened.set()
        assert [line async for line in lines if '"type":"job.succeeded"' in line]
    prefer = {"Prefer": f"wait={round(3 * RECEIVE)}"}
    assert (await api.client.post("/instances/demo/stop", headers=prefer)).status_code == 200


async def test_who_reads_nothing_is_left(api: ServedApi) -> None:
    """What it has asked for is kept for it no longer, and one chunk of it at most."""
    async with calling(api.port, LARGE * 40, buffer=2048):
        await eventually(lambda: is_so(any(paused(api))))
        [transport] = [connection.transport for connection in api.server.server_state.connections]
        assert transport.get_write_buffer_size() < 1024 * 1024
        await eventually(lambda: is_so(places(api) == 0), seconds=UNREAD + LATE)


def paused(api: ServedApi) -> list[bool]:
    """Of each connection, whether something waits for its caller to read it."""
    return [connection.flow.write_paused for connection in api.server.server_state.connections]


async def test_who_reads_slowly_gets_all(api: ServedApi) -> None:
    """A little at a time, for longer than nothing at all may be taken."""
    async with calling(api.port, buffer=2048) as caller:
        await eventually(lambda: is_so(places(api) == 1))
        [connection] = api.server.server_state.connections
        # The system would take it all from the service at once.
        connection.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        caller.writer.write(LARGE)
        head = await caller.reader.readuntil(b"\r\n\r\n")
        whole = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        waited = 0
        for _ in range(20):
            await caller.reader.readexactly(whole // 20)
            waited += any(paused(api))
            await asyncio.sleep(UNREAD / 4)
        assert waited > 8  # more than two deadlines
        await caller.reader.readexactly(whole % 20)


async def test_slow_callers_give_way(api: ServedApi) -> None:
    """However many there are, an honest one has a place, and an idle one keeps its own as long as there are others."""
    assert (await api.client.get("/livez")).status_code == 200
    [honest] = api.server.server_state.connections
    async with contextlib.AsyncExitStack() as slow:
        for _ in range(20):
            await slow.enter_async_context(calling(api.port, b"GET /re"))
            assert places(api) <= 7
        await eventually(lambda: is_so(places(api) <= 6))
        assert honest in api.server.server_state.connections
        async with httpx.AsyncClient(base_url=api.url) as another:
            assert (await another.get("/livez")).status_code == 200


async def test_where_all_places_are_in_use_the_answer_says_so(api: ServedApi) -> None:
    """Nobody who is being served is thrown out for another."""
    async with contextlib.AsyncExitStack() as following:
        for _ in range(6):
            await following.enter_async_context(api.client.stream("GET", "/events", headers=STREAM))
        async with httpx.AsyncClient(base_url=api.url) as another:
            refused = await another.get("/livez")
            assert refused.status_code == 503
            assert refused.json()["code"] == "too-many-connections"
            assert refused.headers["x-content-type-options"] == "nosniff"
            assert int(refused.headers["retry-after"]) > 0
        assert places(api) >= 6
    await eventually(lambda: is_so(places(api) == 0))
    assert (await api.client.get("/livez")).status_code == 200


async def test_descriptors_do_not_run_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that may open few leaves half of them for its work, whatever bound was set."""
    few = ("sh", "-c", 'ulimit -n 256; exec "$@"', "sh", *RunningService.program)
    monkeypatch.setattr(RunningService, "program", few)
    async with running_service(tmp_path) as service, contextlib.AsyncExitStack() as slow:
        for _ in range(300):
            await slow.enter_async_context(calling(service.port, b"GET /re"))
        assert (await service.client.get("/readyz")).status_code == 200
        assert 128 <= psutil.Process(service.pid).num_fds() < 240
