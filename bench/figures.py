"""Figures: what a finished job tells about its time, and what was measured at one size."""

import statistics
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bench.timeline import Bar


def step_seconds(events: list[dict[str, Any]]) -> dict[str, float]:
    """How long each step took."""
    ended = [event["data"] for event in events if event["type"] == "step.succeeded"]
    return {data["step"]: data["seconds"] for data in ended}


def job_seconds(job: dict[str, Any]) -> float:
    """From the first attempt's beginning to the recorded end."""
    begun, ended = (datetime.fromisoformat(job[name]) for name in ("started_at", "finished_at"))
    return (ended - begun).total_seconds()


#: What is not ours in a stop: the stack's pods starting, Velero's phases, and the power-off.
NOT_OURS = {"wake-stack", "wait-for-backup", "power-off", "verify-off"}


def own_seconds(job: dict[str, Any], steps: dict[str, float]) -> float:
    """A stop's time without what is not ours."""
    return job_seconds(job) - sum(steps[name] for name in NOT_OURS)


@dataclass
class Figures:
    """Everything measured at one size; seconds by name, ours and the CLI's."""

    objects: int
    ours: dict[str, list[float]] = field(default_factory=dict)
    cli: dict[str, list[float]] = field(default_factory=dict)
    memory_mib: dict[str, int] = field(default_factory=dict)
    stop: list[Bar] = field(default_factory=list)
    start: list[Bar] = field(default_factory=list)

    def add(self, name: str, seconds: float) -> None:
        """One more round."""
        self.ours.setdefault(name, []).append(seconds)

    def add_cli(self, name: str, seconds: float) -> None:
        """One more round of the CLI's."""
        self.cli.setdefault(name, []).append(seconds)

    def median(self, name: str) -> float:
        """Of all rounds."""
        return statistics.median(self.ours[name])
