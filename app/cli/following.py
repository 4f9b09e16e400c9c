"""Following a job to its end: each step with its seconds as it goes."""

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import typer

from app.cli.client import ServiceClient
from app.cli.errors import CommandError, Exit

if TYPE_CHECKING:
    from rich.progress import Progress

ENDED = frozenset({"succeeded", "failed", "cancelled"})
#: How long one look at the job may last; steps are shown this late at most.
LOOK_SECONDS = 0.3
STEP_COLUMN = 34
BAR_COLUMNS = 24

Job = dict[str, Any]


@dataclass(frozen=True)
class Moment:
    """What goes on now: in words, how much is done (0 to 1, None if nobody can tell), and the seconds left."""

    text: str
    done: float | None = None
    left_seconds: float | None = None


class Show(Protocol):
    """Where a job is shown while it runs."""

    def line(self, text: str) -> None:
        """Something that has happened and stays."""

    def now(self, moment: Moment) -> None:
        """What is going on at this moment."""


class Plain:
    """Lines for logs and pipes: only what has happened."""

    def line(self, text: str) -> None:
        """One line."""
        typer.echo(text)

    def now(self, moment: Moment) -> None:
        """Nothing: the next line will say it."""


class Silent:
    """Nothing at all: standard output belongs to JSON."""

    def line(self, text: str) -> None:
        """Nothing."""

    def now(self, moment: Moment) -> None:
        """Nothing."""


class Live:
    """A bar with the current step under the lines that stay, for terminals."""

    def __init__(self, bar: "Progress") -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None)

    def line(self, text: str) -> None:
        """A line above the bar."""
        self._bar.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def now(self, moment: Moment) -> None:
        """The bar; one that moves to and fro where nobody can tell how much is done."""
        done = None if moment.done is None else 100 * moment.done
        left = "" if moment.left_seconds is None else f"about {moment.left_seconds:.0f} s left"
        text = "  ".join(filter(None, (moment.text, left)))
        self._bar.update(self._task, description=text, total=None if done is None else 100, completed=done or 0)


@contextmanager
def terminal() -> Iterator[Show]:
    """The way to show a job that suits standard output."""
    if not sys.stdout.isatty():
        yield Plain()
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    words = TextColumn("{task.description}", markup=False)
    with Progress(BarColumn(bar_width=BAR_COLUMNS), words, console=Console(), transient=True) as bar:
        yield Live(bar)


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
    usual = _usual_seconds(client, job_id)
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
        show.now(describe_now(job, time.monotonic() - began, usual))


def _usual_seconds(client: ServiceClient, job_id: str) -> float | None:
    """How long such a job usually takes on this instance; None before there was one, or for types not counted."""
    job = client.get(f"/jobs/{job_id}")
    try:
        figures = client.get(f"/instances/{job['instance_name']}/stats")
    except CommandError:
        return None  # only an estimate is lost
    usual: float | None = (figures.get(f"{job['type']}_seconds") or {}).get("median")
    return usual


def describe_now(job: Job, seconds: float, usual_seconds: float | None = None) -> Moment:
    """The current step and how far the job is: by the usual time of such jobs, else by the step's own percentage."""
    progress = job["progress"] or {}
    percent = progress.get("percent")
    words = [job["step"] or job["status"], f"{percent} %" if percent is not None else "", progress.get("message", "")]
    text = f"{' '.join(filter(None, words))}  ({seconds:.0f} s)"
    if usual_seconds and seconds < usual_seconds:
        return Moment(text, seconds / usual_seconds, usual_seconds - seconds)
    return Moment(text, None if percent is None else percent / 100)


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
