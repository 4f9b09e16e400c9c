"""Tokens, made and revoked where the service keeps its database: the first one cannot be made over HTTP."""

import asyncio
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from app.cli.options import AsJson, Home, Sandbox, StateDir
from app.cli.printing import print_json, print_table
from app.cli.read_settings import read_service_settings

if TYPE_CHECKING:
    from app.access.tokens import TokenStore
    from app.settings import Settings

T = TypeVar("T")

tokens_app = typer.Typer(help="Make, list and revoke the tokens that callers show.")
TokenName = Annotated[str, typer.Argument(metavar="NAME", help="Whose token it is.", show_default=False)]


class TokenScope(StrEnum):
    """What a token may do."""

    READ = "read"
    OPERATE = "operate"


@tokens_app.command()
def create(
    name: TokenName,
    *,
    scope: Annotated[TokenScope, typer.Option(help="read: only look. operate: everything.")] = TokenScope.OPERATE,
    sandbox: Sandbox = False,
    state_dir: StateDir = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it; it cannot be shown again."""
    settings = read_service_settings(sandbox=sandbox, state_dir=state_dir, home=home)

    async def make(tokens: "TokenStore") -> str:
        from app.access.tokens import Scope

        return await tokens.create(name, Scope(scope.value))

    token = _with_tokens(settings, make)
    if as_json:
        print_json({"name": name, "scope": scope.value, "token": token})
    else:
        typer.echo(token)
        typer.echo("Keep it: it cannot be shown again. The command line takes it from KECS_STATE_TOKEN.", err=True)


@tokens_app.command("list")
def list_tokens(
    *, sandbox: Sandbox = False, state_dir: StateDir = None, home: Home = None, as_json: AsJson = False
) -> None:
    """Show every token ever made, without the tokens themselves."""
    settings = read_service_settings(sandbox=sandbox, state_dir=state_dir, home=home)
    found = _with_tokens(settings, lambda tokens: tokens.list())
    rows = [(token.name, token.scope, token.created_at, token.revoked_at) for token in found]
    if as_json:
        names = ("name", "scope", "created_at", "revoked_at")
        print_json([dict(zip(names, [value and str(value) for value in row], strict=True)) for row in rows])
    else:
        shown = [(name, scope, f"{made:%F %T}", gone and f"{gone:%F %T}") for name, scope, made, gone in rows]
        print_table(("NAME", "SCOPE", "CREATED (UTC)", "REVOKED (UTC)"), shown)


@tokens_app.command()
def revoke(
    name: TokenName,
    *,
    sandbox: Sandbox = False,
    state_dir: StateDir = None,
    home: Home = None,
    as_json: AsJson = False,
) -> None:
    """Refuse a token from now on; a running service knows at once."""
    settings = read_service_settings(sandbox=sandbox, state_dir=state_dir, home=home)
    token = _with_tokens(settings, lambda tokens: tokens.revoke(name))
    if as_json:
        print_json({"name": token.name, "revoked_at": str(token.revoked_at)})
    else:
        typer.echo(f"{name} is revoked")


def _with_tokens(settings: "Settings", work: Callable[["TokenStore"], Awaitable[T]]) -> T:
    from app.access.tokens import TokenStore
    from app.cli.errors import CommandError
    from app.db import Database
    from app.errors import ServiceError

    async def run() -> T:
        async with Database.open(settings) as database:
            await database.migrate()
            return await work(TokenStore(database))

    try:
        return asyncio.run(run())
    except ServiceError as error:
        raise CommandError.of_problem(error.problem()) from None
