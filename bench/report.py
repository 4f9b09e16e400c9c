"""docs/real-stack.md and its picture, from figures."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Figures
from bench.timeline import picture
from tests.real.binaries import VERSIONS

DOCUMENT, PICTURE = Path("docs/real-stack.md"), Path("docs/real-stack.svg")
#: Seconds at the smallest size.
GOALS = {
    "install": 8.0, "asleep to proven": 4.5, "own time in a stop": 0.25, "recreated, to workloads running": 9.0,
}  # fmt: skip
#: What of the Velero CLI stands beside which of our figures.
BESIDE = {
    "install": "install", "backup": "backup", "asleep to proven": "asleep to backed up",
    "start recreated": "start recreated",
}  # fmt: skip
_HEAD = """# Figures of the real stack

Written by `make bench-real` on {date}: real Kubernetes {kubernetes}, Velero {velero} and MinIO on one machine with two
cores that others may use too. Seconds, medians of {rounds} rounds with the highest in brackets; beside them the Velero
CLI doing the same in the same run, by the book and without any proof.

![Where the time of a stop and a start goes](real-stack.svg)
"""
_TAIL = """
*asleep to proven*: from the request to a proven backup, the stack's start included; the CLI's figure is scaling up,
waiting for the location and `backup create --wait`. *start recreated*: a cluster made anew whose API answers, until the
job has ended, all content compared; the CLI's is `install`, waiting until Velero lists the backup, `restore create
--wait` and waiting for the pods. *own time in a stop*: without the stack's start, Velero's own time and the power-off.
"""


def write_report(measured: list[Figures]) -> list[str]:
    """Write both files; gives the goals that were missed, in words."""
    smallest = measured[0]
    charts = {
        f"Stop, {smallest.objects} objects": smallest.stop,
        f"Start of a recreated cluster, {smallest.objects} objects": smallest.start,
    }
    PICTURE.write_text(picture(charts), encoding="utf-8")
    rounds = max(len(seconds) for seconds in smallest.ours.values())
    head = _HEAD.format(date=f"{datetime.now(UTC):%Y-%m-%d}", rounds=rounds, **VERSIONS)
    parts = [head, *(_section(figures) for figures in measured), _memory(measured), _TAIL]
    DOCUMENT.write_text("\n".join(parts), encoding="utf-8")
    return list(_missed(smallest))


def _section(figures: Figures) -> str:
    goals = GOALS if figures.objects <= 60 else {}
    rows = [f"## {figures.objects:,} objects", "", "| | here | goal | Velero CLI |", "|---|---|---|---|"]
    for name, seconds in figures.ours.items():
        goal = f"{goals[name]:g}" if name in goals else ""
        cli = f"{figures.cli[BESIDE[name]]:.2f}" if name in BESIDE else ""
        rows.append(f"| {name} | {figures.median(name):.2f} ({max(seconds):.2f}) | {goal} | {cli} |")
    return "\n".join(rows) + "\n"


def _memory(measured: list[Figures]) -> str:
    sizes = " | ".join(f"{figures.objects:,}" for figures in measured)
    rows = ["## Memory, MiB resident, with the stack awake", "", f"| component | {sizes} |"]
    rows.append("|---|" + "---|" * len(measured))
    for component in measured[0].memory_mib:
        values = " | ".join(str(figures.memory_mib.get(component, "")) for figures in measured)
        rows.append(f"| {component} | {values} |")
    return "\n".join(rows) + "\n"


def _missed(figures: Figures) -> Iterator[str]:
    for name, goal in GOALS.items():
        if figures.median(name) > goal:
            yield f"{name}: {figures.median(name):.2f} s, goal {goal:g} s"
