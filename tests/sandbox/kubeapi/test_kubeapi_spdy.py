"""SPDY frames, as kubectl's port-forward sends and expects them."""

import struct
import zlib

import pytest

from app.sandbox.kubeapi import spdy
from app.sandbox.kubeapi.spdy import FIN, PING, SYN_REPLY, SYN_STREAM, BadFrame, Frame, Reader, Writer


def control(kind: int, payload: bytes) -> bytes:
    return struct.pack("!HHI", 0x8003, kind, len(payload)) + payload


class Client:
    """The other side: its headers are compressed as one stream, as the standard says."""

    def __init__(self) -> None:
        self._deflate = zlib.compressobj(zdict=spdy._DICTIONARY)

    def open(self, stream: int, **headers: str) -> bytes:
        texts = [text.encode() for pair in headers.items() for text in pair]
        plain = struct.pack("!I", len(headers)) + b"".join(struct.pack("!I", len(one)) + one for one in texts)
        block = self._deflate.compress(plain) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        return control(SYN_STREAM, struct.pack("!IIBB", stream, 0, 0, 0) + block)


def test_the_dictionary_is_the_standards() -> None:
    """Its checksum stands in the first header block that any SPDY/3 peer sends."""
    assert zlib.adler32(spdy._DICTIONARY) == 0xE3C6A7C2


def test_headers_of_streams() -> None:
    """Also of the second, whose compression goes on from the first."""
    client, reader = Client(), Reader()
    first, second = reader.feed(client.open(1, streamtype="error", port="80") + client.open(3, streamtype="data"))
    assert (first.control, first.stream, first.headers) == (SYN_STREAM, 1, {"streamtype": "error", "port": "80"})
    assert (second.stream, second.headers) == (3, {"streamtype": "data"})


def test_frames_arrive_in_pieces() -> None:
    """One byte at a time."""
    reader = Reader()
    sent = Writer().data(5, b"hello", last=True)
    frames = [frame for byte in sent for frame in reader.feed(bytes([byte]))]
    assert frames == [Frame(0, 5, FIN, b"hello", {})]


def test_a_reply_can_be_read() -> None:
    """By its stream."""
    (frame,) = Reader().feed(Writer().reply(7))
    assert (frame.control, frame.stream) == (SYN_REPLY, 7)


def test_a_ping_comes_back_as_it_was() -> None:
    """Its number with it."""
    ping = control(PING, struct.pack("!I", 11))
    (frame,) = Reader().feed(ping)
    assert Writer().pong(frame) == ping


@pytest.mark.parametrize(
    "sent",
    [
        b"\x80\x02\x00\x01\x00\x00\x00\x00",
        b"\x00\x00\x00\x01\x00\xff\xff\xff",
        control(SYN_STREAM, b"\x00"),
        control(SYN_STREAM, bytes(10) + b"not compressed"),
    ],
)
def test_what_is_not_spdy_ends_the_connection(sent: bytes) -> None:
    """Another version, a frame too large, headers that cannot be read."""
    with pytest.raises(BadFrame):
        Reader().feed(sent)
