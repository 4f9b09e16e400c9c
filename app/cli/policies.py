"""The policy of an instance on the command line."""

import json
from typing import Annotated, Any

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.options import AsJson, Name, Url
from app.cli.printing import print_json, print_table


def policy(
    name: Name,
    *,
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Decide a field; repeat for more.")
    ] = None,
    unset: Annotated[
        list[str] | None, typer.Option("--unset", metavar="KEY", help="Leave a field to the service's setting again.")
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show what is decided for an instance, or decide it. Lists are written a,b,c."""
    client, path = ServiceClient(url), f"/instances/{name}/policy"
    view, tag = client.get_tagged(path)
    if changes or unset:
        wanted = view["set"] | dict(_parsed(change) for change in changes or ()) | dict.fromkeys(unset or ())
        view = client.put(path, wanted, if_match=tag)
    if as_json:
        print_json(view)
    else:
        _print_policy(view)


def _parsed(change: str) -> tuple[str, Any]:
    key, separator, value = change.partition("=")
    if not separator:
        raise typer.BadParameter(f"{change!r} is not KEY=VALUE", param_hint="--set")
    if key == "exclude_namespaces" and not value.startswith("["):
        return key, [name.strip() for name in value.split(",") if name.strip()]
    try:
        return key, json.loads(value)
    except ValueError:
        return key, value


def _print_policy(view: dict[str, Any]) -> None:
    rows = [(key, _shown(value), view["sources"][key]) for key, value in view["effective"].items()]
    print_table(("KEY", "VALUE", "FROM"), rows)
    for note in view["notes"]:
        typer.echo(note)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return ",".join(value) or "-"
    return value if isinstance(value, str) else json.dumps(value)
