"""The command line. Nothing heavy is imported here: each command brings what it needs, so that help is quick."""

import gc
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from app.cli import backups, events, looking, migrating, operations, policies, service
from app.cli.completing import PROGRAM, answer_shell, completion
from app.cli.errors import CommandError, Exit
from app.cli.images import images_app
from app.cli.options import Home, Sandbox, StateDir, UseVelero
from app.cli.read_settings import change_server, read_service_settings, read_settings
from app.cli.service_unit import service_app
from app.cli.tokens import tokens_app
from app.cli.webhooks import webhooks_app

app = typer.Typer(
    name=PROGRAM,
    help="Stop and start local ECS environments (KECS instances) without losing their state.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    operations.stop,
    operations.start,
    operations.backup,
    operations.restore,
    migrating.migrate,
    looking.status,
    looking.preflight,
    looking.ready,
    looking.doctor,
    policies.policy,
    looking.jobs,
    operations.cancel,
    operations.retry,
    operations.accept,
    events.events,
    looking.backups,
    backups.validate,
    backups.logs,
    backups.results,
    backups.contents,
    backups.pin,
    backups.unpin,
    backups.delete,
    backups.rebuild,
    operations.stack,
    operations.move_storage,
    service.stats,
    service.audit,
    service.version,
    completion,
):
    app.command()(command)
app.add_typer(images_app, name="images", no_args_is_help=True)
app.add_typer(webhooks_app, name="webhooks", no_args_is_help=True)
app.add_typer(tokens_app, name="token", no_args_is_help=True)
app.add_typer(service_app, name="service", no_args_is_help=True)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - Typer's way of calling it
    if wanted:
        from importlib.metadata import version

        typer.echo(f"{PROGRAM} {version(PROGRAM)}")
        raise typer.Exit


@app.callback()
def program(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version of this program."),
    ] = False,
) -> None:
    """Stop and start local ECS environments (KECS instances) without losing their state."""


class LogLevel(StrEnum):
    """How much the service logs."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"


@app.command()
def serve(
    *,
    sandbox: Sandbox = False,
    state_dir: StateDir = None,
    home: Home = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on; beyond loopback only with tokens.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 lets the system choose.")] = None,
    require_token: Annotated[
        bool | None, typer.Option("--require-token", help="Ask for a token on loopback too.", show_default=False)
    ] = None,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file; serve HTTPS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file of its key.")] = None,
    use_velero: UseVelero = None,
    log_level: Annotated[LogLevel | None, typer.Option(case_sensitive=False, help="From this on.")] = None,
) -> None:
    """Serve the API until a signal ends it. Options win over KECS_STATE_ variables."""
    in_force = read_service_settings(
        sandbox=sandbox,
        state_dir=state_dir,
        home=home,
        use_velero_backup=use_velero,
        log_level=log_level and log_level.value,
    )
    in_force.server = change_server(
        in_force.server,
        host=host,
        port=port,
        require_token=require_token,
        tls_certificate=tls_certificate,
        tls_key=tls_key,
    )
    # What is imported stays; looking for garbage among it meanwhile takes a fifth of the time.
    gc.disable()
    from app.cli.serving import run_service

    gc.freeze()
    gc.enable()
    run_service(in_force)


@app.command()
def openapi() -> None:
    """Print the OpenAPI document, in a stable order."""
    import json

    from app.main import create_app

    typer.echo(json.dumps(create_app(read_settings()).openapi(), indent=2, sort_keys=True))


@app.command()
def settings() -> None:
    """Print the settings in force, secrets masked."""
    typer.echo(read_settings().model_dump_json(indent=2))


@app.command(
    add_help_option=False,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
)
def sandbox(context: typer.Context) -> None:
    """Create, start, stop and seed clusters of the embedded sandbox (needs the extra `sandbox`)."""
    try:
        from app.sandbox.cli import sandbox_app
    except ModuleNotFoundError as error:
        raise CommandError(
            "The sandbox is not installed",
            f"the package {error.name!r} is missing",
            remedy="Install it with: pip install 'kecs-state[sandbox]'",
        ) from None
    sandbox_app(args=context.args, prog_name="kecs-state sandbox")


def run() -> None:
    """The entry point of ``kecs-state``."""
    answer_shell()
    try:
        app(prog_name=PROGRAM)
    except CommandError as error:
        typer.echo(str(error), err=True)
        sys.exit(error.code)
    except BrokenPipeError:
        # The reader of our output has gone; nothing is left to say, not even at exit.
        sys.stdout = None
        sys.exit(Exit.FAILED)


if __name__ == "__main__":
    run()
