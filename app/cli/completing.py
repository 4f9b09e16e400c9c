"""Completion in the shell: the script, and the names it asks for."""

import os
from enum import StrEnum
from typing import Annotated

import typer

from app.cli.errors import CommandError

PROGRAM = "kecs-state"
VARIABLE = "_KECS_STATE_COMPLETE"


class Shell(StrEnum):
    """Shells that can complete."""

    BASH = "bash"
    ZSH = "zsh"
    FISH = "fish"


def completion(shell: Annotated[Shell, typer.Argument(help="Your shell.", show_default=False)]) -> None:
    """Print the script that makes a shell complete commands, options and instances.

    bash: source <(kecs-state completion bash); zsh: the same; fish: kecs-state completion fish | source
    """
    from typer.completion import get_completion_script  # type: ignore[attr-defined]

    typer.echo(get_completion_script(prog_name=PROGRAM, complete_var=VARIABLE, shell=shell.value))


def answer_shell() -> None:
    """Teach Typer the shells' own protocols, but only when a shell asks: nothing else needs it."""
    if VARIABLE in os.environ:
        from typer._completion_classes import completion_init

        completion_init()


def complete_instances(incomplete: str) -> list[str]:
    """Names of instances, if a service answers at once; a shell that waits would be worse than no names."""
    from app.cli.client import DEFAULT_URL, ServiceClient

    try:
        client = ServiceClient(os.environ.get("KECS_STATE_URL", DEFAULT_URL), answer_seconds=1.0)
        found = client.get("/instances")["instances"]
    except CommandError:
        return []
    return [instance["name"] for instance in found if instance["name"].startswith(incomplete)]
