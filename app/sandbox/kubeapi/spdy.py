"""SPDY/3.1 as far as a port-forward needs it: frames in and out, headers compressed by the dictionary of the standard.

kubectl runs it inside a websocket. Windows and priorities are not kept, as the Go library on its side keeps none.
"""

import struct
import zlib
from typing import NamedTuple

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 0x01
_CONTROL = 0x8003
_MOST_BYTES = 4 * 1024 * 1024

# The dictionary: words with their lengths, then text that is likely to follow.
_WORDS = """
    options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow
    authorization cache-control connection content-base content-encoding content-language content-length
    content-location content-md5 content-range content-type date etag expect expires from host if-match
    if-modified-since if-none-match if-range if-unmodified-since last-modified location max-forwards pragma
    proxy-authenticate proxy-authorization range referer retry-after server te trailer transfer-encoding upgrade
    user-agent vary via warning www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie
    keep-alive origin
"""
_TEXT = (
    "100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505"
    "203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden"
    "404 Not Found500 Internal Server Error501 Not Implemented503 Service Unavailable"
    "Jan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMT"
    "chunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,text/javascript,"
    "publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0."
)
_DICTIONARY = (
    b"".join(struct.pack("!I", len(word)) + word.replace("_", " ").encode() for word in _WORDS.split()) + _TEXT.encode()
)


class BadFrame(Exception):
    """What came is not SPDY; the connection cannot go on."""


class Frame(NamedTuple):
    """Data when ``control`` is 0; headers only of a SYN_STREAM."""

    control: int
    stream: int
    flags: int
    payload: bytes
    headers: dict[str, str] = {}


class Reader:
    """Bytes as they come in, frames as they get whole."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._headers = zlib.decompressobj(zdict=_DICTIONARY)

    def feed(self, data: bytes) -> list[Frame]:
        """Every frame that is complete now. Raises BadFrame."""
        self._buffer += data
        frames = []
        while len(self._buffer) >= 8:
            first, second = struct.unpack_from("!II", self._buffer)
            length = second & 0xFFFFFF
            if length > _MOST_BYTES:
                raise BadFrame(f"a frame of {length} bytes")
            if len(self._buffer) < 8 + length:
                break
            payload = bytes(self._buffer[8 : 8 + length])
            del self._buffer[: 8 + length]
            frames.append(self._frame(first, second >> 24, payload))
        return frames

    def _frame(self, first: int, flags: int, payload: bytes) -> Frame:
        if first >> 31 == 0:
            return Frame(0, first, flags, payload)
        if first >> 16 != _CONTROL:
            raise BadFrame("another version than SPDY/3")
        control = first & 0xFFFF
        stream = struct.unpack_from("!I", payload)[0] & 0x7FFFFFFF if len(payload) >= 4 else 0
        headers = self._read_headers(payload[10:]) if control == SYN_STREAM else {}
        return Frame(control, stream, flags, payload, headers)

    def _read_headers(self, block: bytes) -> dict[str, str]:
        try:
            plain = self._headers.decompress(block)
            (count,), place, texts = struct.unpack_from("!I", plain), 4, []
            for _ in range(2 * count):
                (length,) = struct.unpack_from("!I", plain, place)
                texts.append(plain[place + 4 : place + 4 + length].decode())
                place += 4 + length
        except (zlib.error, struct.error, UnicodeDecodeError) as error:
            raise BadFrame(f"unreadable headers: {error}") from error
        return dict(zip(texts[::2], texts[1::2], strict=True))


class Writer:
    """Frames to be sent."""

    def __init__(self) -> None:
        self._headers = zlib.compressobj(zdict=_DICTIONARY)

    def reply(self, stream: int) -> bytes:
        """The acceptance of a stream, without headers."""
        block = self._headers.compress(struct.pack("!I", 0)) + self._headers.flush(zlib.Z_SYNC_FLUSH)
        return _control(SYN_REPLY, struct.pack("!I", stream) + block)

    def pong(self, ping: Frame) -> bytes:
        """The answer to a ping: the same."""
        return _control(PING, ping.payload)

    def data(self, stream: int, content: bytes, *, last: bool = False) -> bytes:
        """Content of a stream; ``last`` closes our side of it."""
        return struct.pack("!II", stream, (FIN if last else 0) << 24 | len(content)) + content


def _control(kind: int, payload: bytes) -> bytes:
    return struct.pack("!HHI", _CONTROL, kind, len(payload)) + payload
