"""`kecs-state service`: have an init system run the service. Files are written here; starting is left to the user."""

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from app.cli.client import CA_VARIABLE, TOKEN_VARIABLE
from app.cli.completing import PROGRAM
from app.cli.errors import CommandError, Exit
from app.cli.units import MARKER, InitSystem, Unit, content, unit

#: Variables for the command line; the service has no use for them.
_CLIENT_VARIABLES = frozenset({"KECS_STATE_URL", TOKEN_VARIABLE, CA_VARIABLE})
_ASK_SECONDS = 10

service_app = typer.Typer(help="Have systemd or launchd run the service.")
System = Annotated[
    InitSystem | None, typer.Option("--init", help="systemd or launchd; else this machine's own.", show_default=False)
]


@service_app.command()
def install(
    *,
    system: System = None,
    show: Annotated[bool, typer.Option("--print", help="Print the file instead of writing it.")] = False,
) -> None:
    """Write the unit that runs `kecs-state serve`, and say how to start it.

    It gets PATH, and the KECS_STATE_ and DOCKER_ variables that are set now, which may be secrets: it is readable by
    you alone.
    """
    from app.cli.read_settings import read_settings

    read_settings()  # a wrong one would only be found in the init system's log
    system = system or _of_this_machine()
    target, wanted = unit(system), content(system, _command(), _variables())
    if show:
        typer.echo(wanted.decode(), nl=False)
        return
    if _current(target.path) == wanted:
        typer.echo(f"{target.path} is there already, as it should be.")
    else:
        _write(target.path, wanted)
        typer.echo(f"Wrote {target.path}. Nothing has been started.")
    _say_how_to_begin(target)


@service_app.command()
def uninstall(*, system: System = None) -> None:
    """Remove the unit, once the service has been ended."""
    target = unit(system or _of_this_machine())
    if _current(target.path) is None:
        typer.echo(f"{target.path} is not there: nothing to remove.")
        return
    if {"active", "enabled", "loaded"} & set(_said(target)):
        raise CommandError("Still in use", f"the init system runs {target.path}", remedy=f"First: {target.end}")
    target.path.unlink()
    typer.echo(f"Removed {target.path}. Instances, backups and settings are untouched.")


@service_app.command()
def status(*, system: System = None) -> None:
    """Show the unit and what the init system says of it. Exits 1 if there is none."""
    system = system or _of_this_machine()
    target = unit(system)
    found = _current(target.path)
    if found is None:
        typer.echo(f"{target.path} is not there. Make it with `{PROGRAM} service install`.")
        raise typer.Exit(Exit.FAILED)
    as_now = found == content(system, _command(), _variables())
    typer.echo(f"{target.path} " + ("is up to date" if as_now else "differs from what `install` would write now"))
    program = target.questions[0][0]
    typer.echo(f"{program} says: {', '.join(_said(target)) or f'nothing, {program} is not on this machine'}")


def _of_this_machine() -> InitSystem:
    if sys.platform == "darwin":
        return InitSystem.LAUNCHD
    if sys.platform == "linux":
        return InitSystem.SYSTEMD
    raise CommandError(
        "Not for this machine", f"{sys.platform} has neither systemd nor launchd", remedy="Run `kecs-state serve`."
    )


def _command() -> list[str]:
    """This very program, by paths that are true without a shell."""
    script = Path(sys.executable).with_name(PROGRAM)
    return [*([str(script)] if script.exists() else [sys.executable, "-m", "app.cli.main"]), "serve"]


def _variables() -> dict[str, str]:
    taken = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("KECS_STATE_", "DOCKER_")) and name not in _CLIENT_VARIABLES
    }
    return {"PATH": os.environ.get("PATH", os.defpath)} | dict(sorted(taken.items()))


def _current(path: Path) -> bytes | None:
    """What stands there; raises ``CommandError`` for what is not ours."""
    if not path.is_symlink() and not path.exists():
        return None
    found = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
    if MARKER.encode() not in found:
        raise CommandError(
            "Not ours",
            f"{path} was not made by this command; it is left as it is",
            remedy="Move it away if it may be replaced.",
        )
    return found


def _write(path: Path, wanted: bytes) -> None:
    from app.errors import ServiceError
    from app.host.files import make_private_directory, write_private

    try:
        make_private_directory(path.parent)
        write_private(path, wanted)
    except ServiceError as error:
        raise CommandError.of_problem(error.problem()) from None


def _say_how_to_begin(target: Unit) -> None:
    program = target.questions[0][0]
    if shutil.which(program) is None:
        typer.echo(f"{program} is not on this machine, so nothing here reads that file. Where it is:")
    typer.echo(f"Now and with every login: {target.begin}")
    if program == "systemctl":
        typer.echo("Without a login too: loginctl enable-linger")


def _said(target: Unit) -> list[str]:
    """The init system's answers, a word each; none where it is not there or does not answer."""
    if shutil.which(target.questions[0][0]) is None:
        return []
    return [_answer(question) for question in target.questions]


def _answer(question: Sequence[str]) -> str:
    try:
        asked = subprocess.run(question, capture_output=True, text=True, timeout=_ASK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no answer within {_ASK_SECONDS} s"
    if question[0] == "launchctl":  # its answer is for people; the exit code says whether it knows the service
        return "loaded" if asked.returncode == 0 else "not loaded"
    return (asked.stdout.strip() or asked.stderr.strip() or "no answer").splitlines()[0]
