"""What happens, as it happens."""

import json
import time
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.errors import CommandError, Exit
from app.cli.following import describe_event
from app.cli.options import AsJson, Url

#: A service that is restarted is back before this.
RECONNECT_SECONDS = 30.0
PAUSE_SECONDS = 0.5
#: The journal gives this many at once.
MOST_EVENTS = 1000

Event = dict[str, Any]


def events(
    job_id: Annotated[str | None, typer.Argument(metavar="[JOB]", help="Only this job.", show_default=False)] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on with what happens from now on.")] = False,
    instance: Annotated[str | None, typer.Option(help="Only jobs of this instance.")] = None,
    after: Annotated[int | None, typer.Option(min=0, help="Only events with a higher id.")] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show what happened to the jobs; with --follow, also what happens next, until the job ends or Ctrl-C."""
    if job_id is not None and instance is not None:
        raise typer.BadParameter("a job belongs to one instance already; leave --instance out")
    client = ServiceClient(url)
    path = f"/jobs/{job_id}/events" if job_id else "/events"
    found = _follow(client, path, after, instance) if follow else _list(client, path, after or 0, instance)
    try:
        for event in found:
            _print(event, as_json=as_json)
    except KeyboardInterrupt:
        raise typer.Exit(Exit.INTERRUPTED) from None


def _list(client: ServiceClient, path: str, after: int, instance: str | None) -> Iterator[Event]:
    while page := client.get(path, after=after, instance=instance):
        yield from page
        if len(page) < MOST_EVENTS:
            return
        after = page[-1]["id"]


def _follow(client: ServiceClient, path: str, after: int | None, instance: str | None) -> Iterator[Event]:
    """Events of a stream that is taken up again where it broke, for as long as a restart may take."""
    last, broken_at = after, None
    while True:
        try:
            for number, event in client.stream(path, after=last, instance=instance):
                last, broken_at = number, None
                yield event
        except CommandError as error:
            broken_at = broken_at or time.monotonic()
            if error.code is not Exit.UNREACHABLE or last is None or time.monotonic() - broken_at > RECONNECT_SECONDS:
                raise
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _print(event: Event, *, as_json: bool) -> None:
    """A line each: with ``--json`` a document a line, for programs that read on."""
    if as_json:
        typer.echo(json.dumps(event))
        return
    told = describe_event(event) or f"  {event['type']}"
    typer.echo(f"{event['at'][11:19]} {event['job_id'][-8:]}{told}")
