"""docs/real-stack.md, its picture, and the record of the figures for docs/performance.md."""

import json
import statistics
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from bench.figures import Figures
from bench.measure import Measure, p95, told
from bench.timeline import picture
from tests.real.binaries import VERSIONS

DOCUMENT, PICTURE = Path("docs/real-stack.md"), Path("docs/real-stack.svg")
RECORD = Path("docs/runs/bench-real.json")
#: What of the Velero CLI stands beside which of our figures.
BESIDE = {
    "install": "install", "asleep to proven": "asleep to backed up", "stop, stack resident": "backup",
    "recreated, to workloads running": "start recreated", "restore": "restore",
}  # fmt: skip
#: Objects.
SMALL = 60
#: Seconds, for a small instance.
GOALS = {"install": 8.0, "asleep to proven": 4.0, "own time in a stop, p95": 0.15}
#: Of the CLI's seconds, for instances of so many objects.
RATIO_GOALS = {
    "stop, stack resident": (1.05, range(1001)),
    "recreated, to workloads running": (0.10, range(SMALL + 1)),
    "restore": (0.35, range(2000, 2001)),
}
#: Of Velero's own time for each further object.
SLOPE_GOAL = 0.2
_HEAD = """# Figures of the real stack

Written by `make bench-real` on {date}: real Kubernetes {kubernetes}, Velero {velero} and MinIO on one machine with two
cores that others may use too. Seconds, medians of {rounds} rounds with the highest in brackets; beside them the Velero
CLI doing the same in the same run, by the book and without any proof.

![Where the time of a stop and a start goes](real-stack.svg)
"""
_TAIL = """
- *asleep to proven*: from the request to a proven backup, the start of the stack included; no pod of it was left from
  a job before. The CLI: scaling up, waiting for the location, `backup create --wait`.
- *stop, stack resident*: a whole stop with its proof, but for the power-off, by a stack that was up already; nothing
  is due to be pruned. The CLI's: `backup create --wait` alone.
- *own time in a stop*: without the stack's start, Velero's own time and the power-off.
- *recreated, to workloads running*: from the request, on a cluster made anew whose API answers, until as many pods run
  in every namespace as before. The CLI's: `install`, waiting until Velero lists the backup, `restore create --wait`,
  waiting for the same pods.
- *recreated, to workloads ready*: until every Deployment and StatefulSet is ready, too, for which their own probes
  decide: most of it is the wait for the readiness probe of KECS's server, which is asked every ten seconds here.
- *restore*: what Velero does of it. The CLI's: `restore create --wait` by a Velero with its default flags. Velero makes
  one object after the other, each by two writes to the API: with 2,000 some 10 ms for one. Neither less logging nor
  `--disable-informer-cache` changed that (20.7 s, and 21.7 and 21.4).
- *start recreated*: the same until the job has ended, all content compared.
"""


def write_report(measured: list[Figures]) -> list[str]:
    """Write all three files; gives the goals that were missed, in words."""
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
    named = [
        replace(measure, name=f"{measure.name}, {figures.objects:,} objects")
        for figures in measured
        for measure in _measures(figures)
    ]
    if len(measured) > 1:
        named.append(_slope(measured))
    RECORD.write_text(json.dumps([measure.as_json() for measure in named], indent=1) + "\n")
    return [
        f"{measure.name}: {told(measure.median, measure.unit)}, goal {measure.goal_in_words}"
        for measure in named
        if not measure.reached
    ]


def _slope(measured: list[Figures]) -> Measure:
    """By how much a further object makes a stop longer, in milliseconds, ours and Velero's."""
    sizes = [figures.objects for figures in measured]
    ours, veleros = (
        1000 * statistics.linear_regression(sizes, [figures.median(name) for figures in measured]).slope
        for name in ("own time in a stop", "backup")
    )
    name = "own time in a stop for each further object"
    return Measure(name, [ours], "Velero's own time for it", [veleros], goal_ratio=SLOPE_GOAL, unit="ms")


def _measures(figures: Figures) -> Iterator[Measure]:
    rounds = dict(figures.ours)
    if len(own := rounds["own time in a stop"]) > 1:
        rounds["own time in a stop, p95"] = [p95(own)]
    for name, seconds in rounds.items():
        ratio, sizes = RATIO_GOALS.get(name, (None, range(0)))
        cli = figures.cli[BESIDE[name]] if name in BESIDE else []
        yield Measure(
            name,
            seconds,
            f"Velero CLI: {BESIDE[name]}" if cli else "",
            cli,
            goal=GOALS.get(name) if figures.objects <= SMALL else None,
            goal_ratio=ratio if figures.objects in sizes else None,
        )


def _section(figures: Figures) -> str:
    rows = [f"## {figures.objects:,} objects", "", "| | here | Velero CLI | ratio | goal |", "|---|---|---|---|---|"]
    for measure in _measures(figures):
        here = f"{measure.median:.2f} ({max(measure.rounds):.2f})"
        cli = f"{measure.baseline_median:.2f}" if measure.baseline_median else ""
        ratio = f"{measure.ratio:.2f}" if measure.ratio else ""
        goal = f"{measure.goal_in_words}: {'reached' if measure.reached else 'missed'}" if measure.goal_in_words else ""
        rows.append(f"| {measure.name} | {here} | {cli} | {ratio} | {goal} |")
    return "\n".join(rows) + "\n"


def _memory(measured: list[Figures]) -> str:
    sizes = " | ".join(f"{figures.objects:,}" for figures in measured)
    rows = ["## Memory, MiB resident, with the stack awake", "", f"| component | {sizes} |"]
    rows.append("|---|" + "---|" * len(measured))
    for component in measured[0].memory_mib:
        values = " | ".join(str(figures.memory_mib.get(component, "")) for figures in measured)
        rows.append(f"| {component} | {values} |")
    return "\n".join(rows) + "\n"
