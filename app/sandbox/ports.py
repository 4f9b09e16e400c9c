"""Ports for processes that bind theirs later than they are told of it, or again after a pause."""

import secrets
import socket
from collections import deque

#: Below what the kernel gives away by itself (Linux from 32768, macOS from 49152), above the kubelet's own.
FIRST, LAST = 11_000, 29_999
#: The last answers of this process: what it has just promised to one server is not free for the next.
_promised: deque[int] = deque(maxlen=1_000)


def free_port(sibling: int = 0) -> int:
    """A loopback port on which nobody listens at this moment, nor on the one that lies ``sibling`` above it.

    Not one that the kernel chose (``bind`` to port 0): until its process binds it, the kernel may give the same
    port to anybody's connection or server.
    """
    while True:
        port = FIRST + secrets.randbelow(LAST - sibling - FIRST + 1)
        both = {port, port + sibling}
        if both.isdisjoint(_promised) and all(_is_free(number) for number in both):
            _promised.extend(both)
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
