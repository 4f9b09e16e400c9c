"""Every command with its arguments and options."""

from collections.abc import Iterator
from typing import Any

import typer

from app.cli.main import app
from app.sandbox.cli import sandbox_app
from reference.markdown import code, table

_INTRODUCTION = """# Commands

What `kecs-state COMMAND --help` says, on one page. Exit codes and the environment are on [the command line's own
page](../cli.md).
"""


def command_line_page() -> str:
    """A section for each command."""
    return _INTRODUCTION + "".join(_section(path, command) for path, command in commands())


def commands() -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words that call it; as Typer's own kind of click's commands."""
    root: Any = typer.main.get_command(app)
    root.commands["sandbox"] = typer.main.get_command(sandbox_app)
    yield from _below("kecs-state", root)


def _below(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name in sorted(command.commands):
            yield from _below(f"{path} {name}", command.commands[name])
    else:
        yield path, command


def _section(path: str, command: Any) -> str:
    context = typer.Context(command)
    records = [each.get_help_record(context) for each in command.params if each.param_type_name == "option"]
    rows = [(code(words), said) for words, said in sorted(filter(None, records))]
    arguments = [piece.strip("{}") for piece in command.collect_usage_pieces(context) if piece != "[OPTIONS]"]
    usage = " ".join((path, *arguments)).replace("[[", "[").replace("]]", "]")
    return f"\n## {usage}\n\n{(command.help or '').strip()}\n\n{table(('option', ''), rows) if rows else ''}"
