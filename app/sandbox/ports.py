"""Ports for processes that bind theirs later than they are told of it, or again after a pause."""

import errno
import secrets
import socket
from collections import deque
from itertools import chain

#: Below what the kernel gives away by itself (Linux from 32768, macOS from 49152), above the kubelet's own. Even ones
#: for what a process is told, odd ones for what it takes beside: it cannot know who else was told a port and has not
#: bound it yet.
TOLD, BESIDE = range(11_000, 30_000, 2), range(11_001, 30_000, 2)
#: The last answers of this process: what it has just promised to one server is not free for the next.
_promised: deque[int] = deque(maxlen=1_000)


def free_port(among: range = TOLD) -> int:
    """A loopback port on which nobody listens at this moment.

    Not one that the kernel chose (``bind`` to port 0): until its process binds it, the kernel may give the same
    port to anybody's connection or server. Raises ``OSError`` if there is none.
    """
    start = secrets.randbelow(len(among))
    for port in chain(among[start:], among[:start]):
        if port not in _promised and _is_free(port):
            _promised.append(port)
            return port
    raise OSError(errno.EADDRINUSE, f"no port is free between {among[0]} and {among[-1]}")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
