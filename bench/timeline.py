"""A picture of where a job's time goes: one bar per step on a common axis, as SVG."""

from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

from bench.pictures import BESIDE, LABELS, OURS, WIDTH, legend, svg

ROW, TOP = 22, 34
COLOURS = {"our time": OURS, "the cluster's time": BESIDE}
#: Steps that wait for pods, for Velero or for the power driver.
OTHERS = {
    "wake-stack",
    "wait-for-backup",
    "power-off",
    "verify-off",
    "power-on",
    "finish-power-on",
    "wait-for-api",
    "wait-for-workloads",
}
OTHERS |= {"restore-everything", "restore-missing", "restore-webhooks", "update-poorer-deployments", "hold-kecs-server"}


@dataclass(frozen=True)
class Bar:
    """One step, in seconds since the job began."""

    step: str
    start: float
    end: float


def bars(events: list[dict[str, Any]]) -> list[Bar]:
    """The steps of a job, in the order they began."""
    zero = next(_time(event) for event in events if event["type"] == "job.started")
    begun: dict[str, float] = {}
    found = []
    for event in events:
        step = event["data"].get("step", "")
        if event["type"] == "step.started":
            begun[step] = _time(event) - zero
        elif event["type"] == "step.succeeded":
            found.append(Bar(step, begun[step], _time(event) - zero))
    return sorted(found, key=lambda bar: bar.start)


def picture(charts: dict[str, list[Bar]]) -> str:
    """Charts below each other on the same scale."""
    scale = (WIDTH - LABELS - 70) / max(bar.end for chart in charts.values() for bar in chart)
    parts, y = [], TOP
    for title, chart in charts.items():
        parts.append(f'<text x="8" y="{y}" class="title">{escape(title)}</text>')
        y += 12
        for bar in chart:
            parts.append(_bar(bar, y, scale))
            y += ROW
        y += TOP
    return svg(y + 12, "Seconds of each step", [*parts, legend(COLOURS, y - 14)])


def _bar(bar: Bar, y: int, scale: float) -> str:
    x, width = LABELS + bar.start * scale, max(1.0, (bar.end - bar.start) * scale)
    colour = BESIDE if bar.step in OTHERS else OURS
    return (
        f'<text x="{LABELS - 8}" y="{y + 13}" text-anchor="end">{escape(bar.step)}</text>'
        f'<rect x="{x:.1f}" y="{y + 2}" width="{width:.1f}" height="14" rx="2" fill="{colour}"/>'
        f'<text x="{x + width + 5:.1f}" y="{y + 13}">{bar.end - bar.start:.2f} s</text>'
    )


def _time(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["at"]).timestamp()
