"""``python -m bench [GROUP ...]``: figures beside baselines that are taken in the same run.

Each group's go to ``var/bench/GROUP.json``. With ``--base COMMIT`` that commit's code is measured in turn with this
one, by the same measures, on the same machine. A missed goal is printed and ends the command with 1.
"""

import argparse
import asyncio
import compileall
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from bench.earlier import check_out, measure_earlier
from bench.groups import GROUPS
from bench.measure import Measure, told
from bench.records import Record, read_records, write_records
from tests.programs import run_to_its_end

ROOT = Path("var/bench")


def main() -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("groups", nargs="*", metavar="GROUP", help=f"all, or some of: {', '.join(GROUPS)}")
    parser.add_argument("--base", metavar="COMMIT", help="measure that commit's code too, in turn with this one")
    parser.add_argument("--keep", type=Path, help="a file that keeps the newest record of each group")
    asked = parser.parse_args()
    if unknown := set(asked.groups) - set(GROUPS):
        parser.error(f"there is no group {', '.join(sorted(unknown))}")
    shutil.rmtree(ROOT / "base", ignore_errors=True)
    base = check_out(asked.base, (ROOT / "base").absolute()) if asked.base else None
    compileall.compile_dir("app", quiet=1)  # as an installation does
    missed = []
    for group in asked.groups or GROUPS:
        print(f"{GROUPS[group].title}:", flush=True)
        earlier = measure_earlier(base, group, asked.base) if base else None
        if base and earlier is None:
            print(f"  {asked.base} cannot be measured by this: see above")
        measures = run_to_its_end(measured(group))
        record = replace(Record.of_now(measures), earlier=earlier)
        write_records(ROOT / f"{group}.json", {group: record})
        if asked.keep:
            write_records(asked.keep, read_records(asked.keep) | {group: record})
        print(*lines(record), sep="\n", flush=True)
        missed += [measure.name for measure in measures if not measure.reached]
    print(f"missed: {'; '.join(missed) or 'nothing'}")
    return 1 if missed else 0


async def measured(group: str) -> list[Measure]:
    """The figures of one group, in a directory that is gone afterwards."""
    state = (ROOT / "state" / group).absolute()
    await asyncio.to_thread(shutil.rmtree, state, ignore_errors=True)
    state.parent.mkdir(parents=True, exist_ok=True)
    try:
        return await GROUPS[group].measure(state)
    finally:
        await asyncio.to_thread(shutil.rmtree, state, ignore_errors=True)


def lines(record: Record) -> Iterator[str]:
    """Every figure in words."""
    earlier = {measure.name: measure for measure in record.earlier.measures} if record.earlier else {}
    for measure in record.measures:
        least, most = (told(value, measure.unit) for value in (min(measure.rounds), max(measure.rounds)))
        parts = [f"{told(measure.median, measure.unit)} ({least} to {most})"]
        if measure.baseline_median is not None and measure.ratio is not None:
            parts.append(f"{measure.ratio:.2f} of {measure.baseline}, {told(measure.baseline_median, measure.unit)}")
        if measure.goal_in_words:
            parts.append(f"goal {measure.goal_in_words} {'reached' if measure.reached else 'MISSED'}")
        if before := earlier.get(measure.name):
            parts.append(f"at {record.earlier.commit if record.earlier else ''} {told(before.median, before.unit)}")
        yield f"  {measure.name}: {'; '.join(parts)}"
        yield from (f"      {note}" for note in measure.notes)


if __name__ == "__main__":
    sys.exit(main())
