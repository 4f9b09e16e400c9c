"""``python -m tests.chaos --kills 500``: kill at random, check everything, report; exit status 1 for any violation."""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.harness import Harness, running_harness
from tests.programs import commit, keep_report, run_to_its_end

#: Clusters that end at once, and clusters that are drained first: each gets its part of the kills.
DRAINED_PART = 0.3
PROGRESS_SECONDS = 10


def main() -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--kills", type=int, default=25, help="how many that hit (25)")
    parser.add_argument("--seed", type=int, default=20261125, help="of what is killed when, for a replay")
    parser.add_argument("--keep", type=Path, default=Path("var/chaos.json"), help="where the report goes")
    asked = parser.parse_args()
    began = time.monotonic()
    runs = run_to_its_end(run(asked.kills, asked.seed))
    violations = sum(len(each["violations"]) for each in runs.values())
    report = {
        "kills": asked.kills,
        "seed": asked.seed,
        "commit": commit(),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "violations": violations,
        "runs": runs,
    }
    keep_report(report, asked.keep)
    print(json.dumps(report, indent=2))
    print(f"{asked.kills} kills with seed {asked.seed}: {violations} violations")
    return 1 if violations else 0


async def run(kills: int, seed: int) -> dict[str, dict[str, Any]]:
    """Both kinds of power-off, one after the other."""
    drained = round(kills * DRAINED_PART)
    return {
        "crash-consistent": await run_one("crash-consistent", kills - drained, seed),
        "drain": await run_one("drain", drained, seed + 1),
    }


async def run_one(power_off: str, kills: int, seed: int) -> dict[str, Any]:
    """Kills on one instance; what was seen, and every violation."""
    with tempfile.TemporaryDirectory(prefix="kecs-state-chaos-") as directory:
        async with running_harness(Path(directory), seed, power_off=power_off) as harness:
            await kill_all(harness, kills)
            violations = await harness.check()
            seen = harness.seen
            return {
                "jobs": len(seen.accepted),
                "kills": dict(seen.kills),
                "power_offs": seen.power_offs,
                "operations": dict(seen.operations),
                "ends": dict(seen.ends),
                "messages": len(harness.receiver.got),
                "violations": violations,
            }


async def kill_all(harness: Harness, kills: int) -> None:
    """With a line of progress now and then, and every violation at once."""
    told_at, told = 0.0, 0
    while (done := harness.seen.kills.total()) < kills:
        await harness.kill_once()
        for violation in harness.seen.violations[told:]:
            print(f"VIOLATION after {done} kills: {violation}", flush=True)
        told = len(harness.seen.violations)
        if time.monotonic() - told_at > PROGRESS_SECONDS:
            told_at = time.monotonic()
            print(f"{harness.seen.kills.total()} of {kills} kills, {len(harness.seen.accepted)} jobs", flush=True)


if __name__ == "__main__":
    sys.exit(main())
