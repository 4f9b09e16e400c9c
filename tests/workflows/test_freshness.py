"""How old a proof may be when the power-off is due."""

from datetime import timedelta

import pytest

from app.workflows.stop import is_fresh


@pytest.mark.parametrize(
    ("age", "fresh"),
    [(0, True), (60, True), (60.1, False), (-0.5, True), (-1.5, False), (-3600, False), (3600, False)],
)
def test_a_proof_counts_for_a_minute_and_never_from_the_future(age: float, *, fresh: bool) -> None:
    """A clock that was set back an hour would make every old proof a new one."""
    assert is_fresh(timedelta(seconds=age), 60) is fresh
