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


def test_a_port_is_promised_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that needs several is told of each before it binds any, and of a sibling with its port."""
    monkeypatch.setattr(ports, "LAST", ports.FIRST + 39)
    promised = [ports.free_port(sibling=20) for _ in range(5)]
    singles = [ports.free_port() for _ in range(10)]

    everything = [*promised, *(port + 20 for port in promised), *singles]
    assert len(set(everything)) == len(everything)


def test_a_port_somebody_listens_on_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of two ports, the free one."""
    taken = ports.free_port(sibling=1)
    monkeypatch.setattr(ports, "_promised", [])
    monkeypatch.setattr(ports, "FIRST", taken)
    monkeypatch.setattr(ports, "LAST", taken + 1)
    with socket.create_server(("127.0.0.1", taken)):
        assert ports.free_port() == taken + 1
