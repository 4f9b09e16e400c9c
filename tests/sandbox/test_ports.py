"""Ports for processes that bind theirs later: nobody else may come first."""

import socket
from pathlib import Path

import pytest

from app.sandbox import ports


def test_a_port_is_not_one_that_the_kernel_gives_to_others() -> None:
    """Such a port went to another test's object store between the choice and the service's start."""
    spoken_for = Path("/proc/sys/net/ipv4/ip_local_port_range")
    if not spoken_for.exists():
        pytest.skip("only Linux says which ports it gives away")
    first = int(spoken_for.read_text().split()[0])

    assert all(ports.free_port() < first for _ in range(100))


def test_a_port_is_promised_once() -> None:
    """A server that needs several is told of each before it binds any; when all are promised, it is refused."""
    few = range(30_000, 30_040, 2)  # nobody else's
    assert {ports.free_port(few) for _ in few} == set(few)
    with pytest.raises(OSError, match="no port is free between 30000 and 30038"):
        ports.free_port(few)


def test_a_port_somebody_listens_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ports, the free one."""
    taken, free = ports.free_port(), ports.free_port()
    monkeypatch.setattr(ports, "_promised", [])
    with socket.create_server(("127.0.0.1", taken)):
        low, high = sorted((taken, free))
        assert ports.free_port(range(low, high + 1, high - low)) == free
