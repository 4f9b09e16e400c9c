"""Completion in the shells people use."""

import pytest

from tests.api.serving import ServedApi
from tests.cli.commands import command


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_every_shell_has_a_script(shell: str) -> None:
    """It asks this program, under its own name."""
    ended = await command("", "completion", shell)
    assert ended.code == 0, ended.err
    assert "_KECS_STATE_COMPLETE" in ended.out
    assert "kecs-state" in ended.out


async def test_commands_are_completed() -> None:
    """As bash asks: the words so far, and which of them is unfinished."""
    asked = {"_KECS_STATE_COMPLETE": "complete_bash", "COMP_WORDS": "kecs-state sto", "COMP_CWORD": "1"}
    ended = await command("", **asked)
    assert ended.out.split() == ["stop"]


async def test_instances_are_completed(api: ServedApi) -> None:
    """The service is asked for them."""
    asked = {"_KECS_STATE_COMPLETE": "complete_bash", "COMP_WORDS": "kecs-state stop de", "COMP_CWORD": "2"}
    assert (await command(api.url, **asked)).out.split() == ["demo"]


async def test_no_service_means_no_names() -> None:
    """A shell that completes must never wait or print errors."""
    asked = {"_KECS_STATE_COMPLETE": "complete_bash", "COMP_WORDS": "kecs-state stop ", "COMP_CWORD": "2"}
    ended = await command("http://127.0.0.1:1", **asked)
    assert (ended.out.strip(), ended.err) == ("", "")
