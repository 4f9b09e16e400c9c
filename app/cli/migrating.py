"""Leaving KECS's own restoration behind: the report, the switch, and the way back."""

from typing import Annotated, Any

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.errors import Exit
from app.cli.operations import submit
from app.cli.options import AsJson, CallbackUrl, Detach, JobTimeout, Name, Timeout, Url
from app.cli.printing import Document, listed, print_json


def migrate(
    name: Name,
    *,
    report: Annotated[bool, typer.Option("--report", help="Only show what a backup holds of what KECS has.")] = False,
    back: Annotated[bool, typer.Option("--back", help="The way back: the policy becomes what it was.")] = False,
    accept_missing: Annotated[
        bool, typer.Option("--accept-missing", help="Switch even if the backup lacks something KECS tells of.")
    ] = False,
    callback_url: CallbackUrl = None,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Prove a backup that holds all KECS tells of, then use Velero from now on. Repeat it after a failure.

    With --report nothing is changed; exits 1 then if anything is missing.
    """
    if report and (back or accept_missing):
        raise typer.BadParameter("--report changes nothing, so it goes alone", param_hint="--report")
    if report:
        show_report(url, name, as_json=as_json)
        return
    asked: dict[str, Any] = {
        "accept_missing": accept_missing,
        "back": back,
        "callback_url": callback_url,
        "timeout_seconds": job_timeout,
    }
    body = {field: value for field, value in asked.items() if value} or None
    submit(url, f"/instances/{name}/migration", body, timeout=timeout, detach=detach, as_json=as_json)


def show_report(url: str, name: str, *, as_json: bool) -> None:
    """The report, and whether anything is missing as the exit code."""
    view = ServiceClient(url).get(f"/instances/{name}/migration")
    if as_json:
        print_json(view)
    else:
        _print_report(view)
    if not view["complete"]:
        raise typer.Exit(Exit.FAILED)


_SOURCES = {
    "store": "its store on this host",
    "copy": "the newest copy of its store",
    "cluster": "the running cluster",
    "none": "nobody: there is nothing to ask",
}


def _print_report(view: Document) -> None:
    as_of = f" of {view['as_of'][:19]} UTC" if view["as_of"] else ""
    policy = "Velero is used by its policy" if view["switched"] else "not migrated"
    typer.echo(f"{view['instance_name']}: {policy}")
    typer.echo(f"  KECS as told by  {_SOURCES[view['source']]}{as_of}")
    typer.echo(f"  proven backup    {view['backup'] or 'none'}")
    typer.echo(f"  covered {view['covered']}, missing {view['missing']}, extra {view['extra']}")
    for status in ("missing", "extra"):
        entries = [
            f"{entry['kind']} {entry['cluster']}/{entry['name']} ({entry['object']})"
            for entry in view["entries"]
            if entry["status"] == status
        ]
        for line in listed(status.upper(), entries):
            typer.echo(f"  {line}")
    for note in view["notes"]:
        typer.echo(f"  ! {note['code']}: {note['detail']}")
