"""`kecs-state sandbox`: what cannot be done is said in a line, and what to do instead."""

from pathlib import Path

import pytest

from app.sandbox import supervisor
from tests.cli.commands import command


@pytest.mark.parametrize(
    ("operation", "said"),
    [
        ("seed", "is absent; first: kecs-state sandbox create nobody"),
        ("kubeconfig", "there is no sandbox cluster 'nobody'"),
        ("start", "there is no sandbox cluster 'nobody'"),
        ("stop", "there is no sandbox cluster 'nobody'"),
    ],
)
async def test_an_unknown_cluster_is_named(tmp_path: Path, operation: str, said: str) -> None:
    """And no traceback."""
    ended = await command("", "sandbox", operation, "nobody", "--state-dir", str(tmp_path))
    assert (ended.code, ended.err.startswith("error: ")) == (1, True)
    assert said in ended.err


async def test_a_cluster_is_filled_once_and_while_it_runs(tmp_path: Path) -> None:
    """A second time the objects are there; powered off, nobody takes them."""
    await supervisor.create(tmp_path, "demo")
    try:
        first = await command("", "sandbox", "seed", "demo", "--state-dir", str(tmp_path))
        assert (first.code, "created" in first.out) == (0, True), first.err
        again = await command("", "sandbox", "seed", "demo", "--state-dir", str(tmp_path))
        assert (again.code, "already exists" in again.err) == (1, True)
        await supervisor.power_off(tmp_path, "demo")
        off = await command("", "sandbox", "seed", "demo", "--state-dir", str(tmp_path))
        assert (off.code, "first: kecs-state sandbox start demo" in off.err) == (1, True)
    finally:
        await supervisor.delete(tmp_path, "demo")
