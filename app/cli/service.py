"""Commands about the service itself: its figures, its versions, who asked for what."""

from typing import Annotated

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.options import AsJson, Url
from app.cli.printing import print_json, print_table, size


def stats(
    name: Annotated[str | None, typer.Argument(help="One instance instead of all.", show_default=False)] = None,
    *,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show counts, durations and sizes."""
    figures = ServiceClient(url).get(f"/instances/{name}/stats" if name else "/stats")
    if as_json:
        print_json(figures)
        return
    rows = []
    for operation in ("stop", "start", "backup", "restore"):
        of = figures[f"{operation}_seconds"]
        seconds = [None if of[key] is None else f"{of[key]:.2f} s" for key in ("median", "p95", "longest")]
        rows.append((operation, of["count"], *seconds))
    print_table(("OPERATION", "COUNT", "MEDIAN", "P95", "LONGEST"), rows)
    for what in ("backups", "restores"):
        typer.echo(f"{what:<9} " + ", ".join(f"{count} {result}" for result, count in figures[what].items()))
    typer.echo(f"storage   {size(sum(figures['storage_bytes'].values()))}")


def audit(
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most this many.")] = 20,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show who asked for what, newest first."""
    page = ServiceClient(url).get("/audit", page_size=limit)
    if as_json:
        print_json(page)
        return
    rows = [(e["at"][:19], e["caller"], e["method"], e["path"], e["status"]) for e in page["events"]]
    print_table(("AT (UTC)", "CALLER", "METHOD", "PATH", "STATUS"), rows)


def version(*, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the versions of the service and of what it installs."""
    found = ServiceClient(url).get("/version")
    if as_json:
        print_json(found)
    else:
        print_table(("WHAT", "VERSION"), found.items())
