"""In front of the object store while fault switches concern it: passes requests on, and spoils some.

``how`` of a rule is one of: ``status`` (a refusal with the rule's code, its reason as S3's code), ``hang``, ``slow``
(for ``seconds``), ``reset`` (no answer), ``cut`` (the connection ends in the middle of the content), ``short`` (half of
the content, said to be all), ``flip`` (one bit of the content), ``swallow`` (a write that is said to be done and is
not). Rules see the path with the bucket and without the query; the signatures stay valid, as hosts and paths do.
"""

import asyncio
import contextlib
from dataclasses import dataclass

from app.sandbox.faults import Rule, Rules

READY_SECONDS = 30.0
_HEAD_BYTES = 256 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_HOP_BY_HOP = {b"connection", b"expect", b"keep-alive"}


class BadMessage(Exception):
    """Not HTTP as S3 clients and SeaweedFS speak it."""


@dataclass
class Message:
    """A request or an answer: first line, headers as they came, and content."""

    first: bytes
    headers: list[tuple[bytes, bytes]]
    content: bytes = b""

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key.lower() == name), b"")

    def encode(self) -> bytes:
        """As it goes on, over a connection of its own."""
        kept = [(key, value) for key, value in self.headers if key.lower() not in _HOP_BY_HOP]
        lines = [self.first, *(key + b": " + value for key, value in [*kept, (b"Connection", b"close")])]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.content


async def serve(port: int, store_port: int, rules: Rules) -> None:
    """Listen on ``port`` as soon as the store does, until cancelled."""
    await _until_listening(store_port)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, BadMessage, ValueError):
            await _answer(reader, writer, store_port, rules)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", port, limit=_HEAD_BYTES)
    async with server:
        await server.serve_forever()


async def _until_listening(port: int) -> None:
    async with asyncio.timeout(READY_SECONDS):
        while True:
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            await asyncio.sleep(0.02)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, store_port: int, rules: Rules) -> None:
    request = await _read_head(reader)
    if request.header(b"expect"):
        writer.write(_CONTINUE)
    request.content = await reader.readexactly(int(request.header(b"content-length") or 0))
    method, target, _ = request.first.decode().split(" ", 2)
    rule = rules.meet(method, target.partition("?")[0])
    if rule is not None and rule.how in {"hang", "slow"}:
        await asyncio.sleep(rule.seconds)
    if rule is None or rule.how == "slow":
        writer.write((await _from_store(request, store_port)).encode())
    elif rule.how not in {"hang", "reset"}:
        writer.write(await _spoiled(rule, request, store_port))
    else:
        writer.transport.abort()
    await writer.drain()


async def _spoiled(rule: Rule, request: Message, store_port: int) -> bytes:
    """Raises ValueError for a way that does not exist."""
    match rule.how:
        case "status":
            return _refusal(rule).encode()
        case "swallow":
            return Message(b"HTTP/1.1 200 OK", [(b"ETag", b'"0"'), (b"Content-Length", b"0")]).encode()
    answer = await _from_store(request, store_port)
    middle = len(answer.content) // 2
    match rule.how:
        case "cut":
            answer.content = answer.content[:middle]
        case "short":
            answer.content = answer.content[:middle]
            sized = [(key, value) for key, value in answer.headers if key.lower() != b"content-length"]
            answer.headers = [*sized, (b"Content-Length", str(middle).encode())]
        case "flip" if answer.content:
            flipped = bytes([answer.content[middle] ^ 0x10])
            answer.content = answer.content[:middle] + flipped + answer.content[middle + 1 :]
        case _:
            raise ValueError(f"unknown fault {rule.how!r}")
    return answer.encode()


def _refusal(rule: Rule) -> Message:
    text = f"<Error><Code>{rule.reason}</Code><Message>{rule.message}</Message></Error>".encode()
    headers = [(b"Content-Type", b"application/xml"), (b"Content-Length", str(len(text)).encode())]
    return Message(f"HTTP/1.1 {rule.code} Fault".encode(), headers, text)


async def _from_store(request: Message, store_port: int) -> Message:
    reader, writer = await asyncio.open_connection("127.0.0.1", store_port, limit=_HEAD_BYTES)
    try:
        writer.write(request.encode())
        answer = await _read_head(reader)
        answer.content = await reader.read()
    finally:
        writer.close()
    return answer


async def _read_head(reader: asyncio.StreamReader) -> Message:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).rstrip(b"\r\n").split(b"\r\n")
    headers = []
    for line in lines:
        key, colon, value = line.partition(b":")
        if not colon:
            raise BadMessage(line)
        headers.append((key, value.strip()))
    return Message(first, headers)
