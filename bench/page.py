"""docs/performance.md and its pictures, from what is kept of runs: ``python -m bench.page``."""

import json
from collections.abc import Iterator
from pathlib import Path

from bench.groups import GROUPS
from bench.measure import Measure, told
from bench.pictures import lines_picture, measures_picture
from bench.records import Record, read_records
from bench.stops import SIZES, at_size

DOCUMENT, PICTURES = Path("docs/performance.md"), Path("docs/images")
#: Of ``make bench``; and of ``make bench-real``, whose file is only a list of measures.
KEPT, KEPT_REAL = Path("docs/runs/bench.json"), Path("docs/runs/bench-real.json")
_HEAD = """# How fast it is

Made by `python -m bench.page` of what the last runs have kept (`docs/runs`). Each figure is the median of some
rounds, with the least and the most in brackets. Beside it stands a baseline that was measured in the same run, because
machines differ and are seldom quiet: what can be compared is the ratio of the two. A goal that was missed says so.

`make bench` measures again all that needs no real Kubernetes (about an hour), `python -m bench GROUP` a part of it;
`make bench BASE=COMMIT` measures that commit's code too, by the same measures, in turn with this one. More of the real
stack is in [its own page](real-stack.md), more of a long history in [scale](scale.md).
"""
_REAL = "The real stack"


def main() -> None:
    """Write all of it anew."""
    PICTURES.mkdir(exist_ok=True)
    records = read_records(KEPT)
    real = [Measure.of_json(each) for each in json.loads(KEPT_REAL.read_text())] if KEPT_REAL.exists() else []
    parts = [_HEAD, _missed([measure for record in records.values() for measure in record.measures] + real)]
    for group in GROUPS:
        if group in records:
            parts += _section(group, GROUPS[group].title, records[group])
    if real:
        parts += _figures("real", _REAL, real)
    DOCUMENT.write_text("\n".join(parts), encoding="utf-8")


def _missed(measures: list[Measure]) -> str:
    """What a reader must not have to look for."""
    promised = [measure for measure in measures if measure.goal_in_words]
    missed = [
        f"- {measure.name}: {in_words(measure)}, goal {measure.goal_in_words}\n"
        for measure in promised
        if not measure.reached
    ]
    return f"Goals missed: {len(missed)} of {len(promised)}.\n\n{''.join(missed)}"


def _section(group: str, title: str, record: Record) -> list[str]:
    parts = _figures(group, title, record.measures)
    if group == "sizes":
        parts.insert(2, _lines(record.measures))
    taken = f"Taken on {record.day} at `{record.commit}`, {record.cores} cores, load average {record.load:g}."
    return [*parts, *_since(record), f"{taken}\n"]


def _figures(group: str, title: str, measures: list[Measure]) -> list[str]:
    picture = PICTURES / f"performance-{group}.svg"
    picture.write_text(measures_picture(title, measures), encoding="utf-8")
    rows = ["| | measured | baseline | ratio | goal | |", "|---|---|---|---|---|---|", *map(_row, measures)]
    notes = [f"- {measure.name}: {note}" for measure in measures for note in measure.notes]
    shown = f"![{title}, as bars](images/{picture.name})\n"
    return [f"## {title}\n", shown, "\n".join(rows) + "\n", *(["\n".join(notes) + "\n"] if notes else [])]


def _row(measure: Measure) -> str:
    beside = ""
    if measure.baseline_median is not None:
        beside = f"{measure.baseline}: {told(measure.baseline_median, measure.unit)}"
    ratio = f"{measure.ratio:.2f}" if measure.ratio is not None else ""
    outcome = ("reached" if measure.reached else "**missed**") if measure.goal_in_words else ""
    cells = [measure.name, in_words(measure), beside, ratio, measure.goal_in_words, outcome]
    return f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |"


def in_words(measure: Measure) -> str:
    """The median, and between what it lies if there was more than one round."""
    least, most = (told(value, measure.unit) for value in (min(measure.rounds), max(measure.rounds)))
    median = told(measure.median, measure.unit)
    return f"{median} ({least} to {most})" if len(measure.rounds) > 1 else median


def _lines(measures: list[Measure]) -> str:
    of_sizes = [measure for size in SIZES for measure in measures if measure.name == at_size(size)]
    lines = {
        "ours": [measure.median for measure in of_sizes],
        "Velero's": [measure.baseline_median or 0 for measure in of_sizes],
    }
    picture = PICTURES / "performance-slopes.svg"
    picture.write_text(lines_picture("Seconds of a stop by its objects", SIZES, lines), encoding="utf-8")
    return f"![Seconds of a stop by its objects, ours and Velero's](images/{picture.name})\n"


def _since(record: Record) -> Iterator[str]:
    """What an earlier commit's code took in the same run."""
    if record.earlier is None:
        return
    now = {measure.name: measure for measure in record.measures}
    rows = [f"| | at `{record.earlier.commit}` | now | change |", "|---|---|---|---|"]
    for before in record.earlier.measures:
        if before.name in now:
            after = now[before.name]
            change = f"{100 * (after.median / before.median - 1):+.0f} %" if before.median else ""
            sure = "" if apart(before, after) else ", within the rounds"
            rows.append(f"| {before.name} | {in_words(before)} | {in_words(after)} | {change}{sure} |")
    yield "\n".join(rows) + "\n"


def apart(before: Measure, after: Measure) -> bool:
    """Whether no round of the one lies among those of the other."""
    return max(before.rounds) < min(after.rounds) or max(after.rounds) < min(before.rounds)


if __name__ == "__main__":
    main()
