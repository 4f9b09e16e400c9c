"""What a slot records of its cluster; needs no real one."""

import random

import pytest

from tests.real.slot import Record


def test_a_successor_never_has_the_port_of_the_cluster_before_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even by chance: whoever kept the old address must not meet the new cluster there."""
    monkeypatch.setattr(random, "choice", lambda ports: ports[0])
    first = Record.new("wiped", "/data", owner=7)
    second = first.successor()
    third = second.successor()
    assert len({record.api_port for record in (first, second)}) == 2
    assert len({record.api_port for record in (second, third)}) == 2
    assert (second.name, second.host_directory, second.owner) == ("wiped", "/data", 7)
