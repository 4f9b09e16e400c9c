"""What one connection may take: time for its request to arrive, time to take its answer, and a place among others.

uvicorn sets a deadline for idle connections alone: one that sends half a head, or a byte of a body now and then, or
reads nothing of its answer, stays as long as it likes and holds a descriptor. That is below ASGI, so it is the protocol
that sets the others.
"""

import asyncio
import json
import logging
import resource
from typing import ClassVar

import h11
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from app.api.errors import RequestTooSlow, TooManyConnections
from app.api.guards import SecurityHeaders
from app.api.problems import MEDIA_TYPE, problem_response
from app.settings import ServerSettings

logger = logging.getLogger(__name__)


def bounded_protocol(server: ServerSettings) -> type[H11Protocol]:
    """uvicorn's protocol with the bounds of these settings."""
    descriptors, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = min(server.max_connections, descriptors // 2)
    return type("BoundedProtocol", (_BoundedProtocol,), {"settings": server, "most": most})


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    error = TooManyConnections("all connections are in use", remedy="End clients that follow events or wait for jobs.")
    await problem_response(error, scope, {"Connection": "close"})(scope, receive, send)


class _BoundedProtocol(H11Protocol):
    """One connection. Whoever makes the service wait has a deadline, and gives way where all places are taken.

    Long polls, streams and idle connections between requests are none of these: there, the service is the slow one, or
    nobody is, and uvicorn's own deadline for idle ones holds.
    """

    settings: ClassVar[ServerSettings]
    most: ClassVar[int]
    _arrival: asyncio.TimerHandle | None = None
    _reading: asyncio.TimerHandle | None = None
    #: When the service began to wait for the caller, in the loop's seconds.
    waits_since: float = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the request its deadline and the connection a place."""
        super().connection_made(transport)
        # So that any byte the caller does not take is noticed, and no more than one chunk waits for it.
        transport.set_write_buffer_limits(high=1)
        self._expect_request()
        self._take_place()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the deadlines."""
        self._arrived()
        self._was_read()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See whether it was the end of a request, or more is to come."""
        super().data_received(data)
        self._look()

    def on_response_complete(self) -> None:
        """The next request may have begun to arrive meanwhile."""
        super().on_response_complete()
        self.waits_since = self.loop.time()
        self._look()

    def pause_writing(self) -> None:
        """The caller does not take what is sent."""
        super().pause_writing()
        self.waits_since = self.loop.time()
        self._expect_reading()

    def resume_writing(self) -> None:
        """It has taken all of it."""
        self._was_read()
        super().resume_writing()

    def is_waited_for(self) -> bool:
        """Whether the next move is the caller's: to send a request, the rest of one, or to read."""
        idle = self.cycle is None or self.cycle.response_complete
        return idle or self._is_arriving() or self._reading is not None

    def _look(self) -> None:
        if not self._is_arriving():
            self._arrived()
        elif self._arrival is None:
            self._expect_request()

    def _is_arriving(self) -> bool:
        """Whether a part of a request is there, and the rest is not."""
        if self.conn.their_state is h11.IDLE:
            return bool(self.conn.trailing_data[0])
        return self.conn.their_state is h11.SEND_BODY

    def _expect_request(self) -> None:
        self.waits_since = self.loop.time()
        self._arrival = self.loop.call_later(self.settings.receive_seconds, self._end_late_request)

    def _arrived(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None

    def _end_late_request(self) -> None:
        self._arrival = None
        # Nothing at all has come, or the answer was given before the end of the request.
        if self._is_arriving() and self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._answer_late_request()
        self.transport.close()

    def _answer_late_request(self) -> None:
        seconds = self.settings.receive_seconds
        error = RequestTooSlow(f"the request did not arrive within {seconds:g} seconds", remedy="Send it at once.")
        logger.warning("%s", error.detail, extra={"action": "request-refused", "code": error.code})
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True  # who waits for the body is told so
            self.cycle.message_event.set()
        body = json.dumps(error.problem()).encode()
        headers = [("Content-Type", MEDIA_TYPE), ("Content-Length", str(len(body))), ("Connection", "close")]
        head = h11.Response(status_code=error.status, headers=headers, reason=b"Request Timeout")
        for part in (head, h11.Data(data=body), h11.EndOfMessage()):
            self.transport.write(self.conn.send(part) or b"")

    def _expect_reading(self) -> None:
        unread = self.transport.get_write_buffer_size()
        self._reading = self.loop.call_later(self.settings.unread_seconds, self._end_late_reading, unread)

    def _was_read(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _end_late_reading(self, unread: int) -> None:
        if self.transport.get_write_buffer_size() < unread:
            self._expect_reading()
            return
        logger.warning("a caller has taken nothing of its answer for %g seconds", self.settings.unread_seconds)
        self.transport.abort()

    def _take_place(self) -> None:
        """Where all places are taken, somebody waited for gives way; if there is nobody, this one is refused."""
        others = [other for other in self.connections if isinstance(other, _BoundedProtocol) and other is not self]
        others = [other for other in others if not other.transport.is_closing()]
        if len(others) < self.most:
            return
        waited_for = [other for other in others if other.is_waited_for()]
        if waited_for:
            # Those that have never sent a whole request go first, and of them whoever was given most time.
            min(waited_for, key=lambda other: (other.cycle is not None, other.waits_since)).transport.abort()
        else:
            self.app = SecurityHeaders(_refuse)
