"""Following a job to its end: each step with its seconds as it goes."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

import typer

from app.cli.client import ServiceClient
from app.cli.errors import CommandError, Exit

ENDED = frozenset({"succeeded", "failed", "cancelled"})
#: How long one look at the job may last; steps are shown this late at most.
LOOK_SECONDS = 0.3
STEP_COLUMN = 34

Job = dict[str, Any]


class Show(Protocol):
    """Where a job is shown while it runs."""

    def line(self, text: str) -> None:
        """Something that has happened and stays."""

    def now(self, text: str) -> None:
        """What is going on at this moment."""


class Plain:
    """Lines for logs and pipes: only what has happened."""

    def line(self, text: str) -> None:
        """One line."""
        typer.echo(text)

    def now(self, text: str) -> None:
        """Nothing: the next line will say it."""


class Silent:
    """Nothing at all: standard output belongs to JSON."""

    def line(self, text: str) -> None:
        """Nothing."""

    def now(self, text: str) -> None:
        """Nothing."""


class Live:
    """One updating line under those that stay, for terminals."""

    def __init__(self, status: Any) -> None:
        self._status = status

    def line(self, text: str) -> None:
        """A line above the updating one."""
        self._status.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def now(self, text: str) -> None:
        """The updating line."""
        from rich.text import Text

        self._status.update(Text(text))


@contextmanager
def terminal() -> Iterator[Show]:
    """The way to show a job that suits standard output."""
    if not sys.stdout.isatty():
        yield Plain()
        return
    from rich.console import Console

    with Console().status("") as status:
        yield Live(status)


@contextmanager
def silence() -> Iterator[Show]:
    """Shows nothing."""
    yield Silent()


def follow(
    client: ServiceClient, job: Job, *, timeout_seconds: float | None, showing: AbstractContextManager[Show]
) -> Job:
    """The job once it has ended; raises ``CommandError`` when the time is up, and leaves the job alone then."""
    reattach = f"The job goes on: kecs-state jobs {job['id']} --follow"
    try:
        with showing as show:
            return _follow(client, job["id"], timeout_seconds, show)
    except KeyboardInterrupt:
        raise CommandError("Interrupted", "you stopped looking", remedy=reattach, code=Exit.INTERRUPTED) from None
    except TimeoutError:
        detail = f"job {job['id']} has not ended after {timeout_seconds:g} s"
        raise CommandError("Still running", detail, remedy=reattach, code=Exit.STILL_RUNNING) from None


def _follow(client: ServiceClient, job_id: str, timeout_seconds: float | None, show: Show) -> Job:
    began = time.monotonic()
    last_event = 0
    while True:
        passed = time.monotonic() - began
        left = LOOK_SECONDS if timeout_seconds is None else min(LOOK_SECONDS, timeout_seconds - passed)
        job: Job = client.get(f"/jobs/{job_id}", wait=max(left, 0))
        # Asked for after the job, so that an ended job's events are all there.
        while events := client.get(f"/jobs/{job_id}/events", after=last_event):
            last_event = events[-1]["id"]
            for line in filter(None, map(describe_event, events)):
                show.line(line)
        if job["status"] in ENDED:
            return job
        if timeout_seconds is not None and time.monotonic() - began >= timeout_seconds:
            raise TimeoutError
        show.now(describe_now(job, time.monotonic() - began))


def describe_now(job: Job, seconds: float) -> str:
    """The current step and how far it is."""
    progress = job["progress"] or {}
    percent = f" {progress['percent']} %" if progress.get("percent") is not None else ""
    message = f"  {progress['message']}" if progress.get("message") else ""
    return f"{job['step'] or job['status']}{percent}{message}  ({seconds:.0f} s)"


def describe_event(event: dict[str, Any]) -> str | None:
    """The line for something that happened; None for what goes without saying."""
    data = event["data"]
    cause = data.get("error", {}).get("detail", "")
    line = None
    match event["type"]:
        case "step.succeeded":
            line = f"{data['step']:<{STEP_COLUMN}} {data['seconds']:8.3f} s"
        case "step.failed":
            line = f"{data['step']:<{STEP_COLUMN}} {data['seconds']:8.3f} s  FAILED: {cause}"
        case "step.retried":
            line = f"{data['step']:<{STEP_COLUMN}} tried again: {cause}"
        case "warning":
            line = f"! {data['code']}: {data['detail']}"
        case "power_off_begun":
            line = "(from here on it cannot be cancelled)"
        case "job.started" if data.get("attempt", 1) > 1:
            line = f"(attempt {data['attempt']}: taken up again after an interruption)"
    return line and f"  {line}"
