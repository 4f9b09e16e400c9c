"""``python -m tests.chaos --kills 500``: kill at random, check everything, report; exit status 1 for any violation."""

import argparse
import asyncio
import json
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.chaos.harness import Harness, running_harness

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
    # Ended by an init system or a person, it must not leave processes behind either.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    began = time.monotonic()
    runs = asyncio.run(run(asked.kills, asked.seed))
    violations = sum(len(each["violations"]) for each in runs.values())
    report = {
        "kills": asked.kills,
        "seed": asked.seed,
        "commit": commit(),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "violations": violations,
        "runs": runs,
    }
    asked.keep.parent.mkdir(parents=True, exist_ok=True)
    asked.keep.write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))
    print(f"{asked.kills} kills with seed {asked.seed}: {violations} violations")
    return 1 if violations else 0


def commit() -> str:
    """Of the code that was run."""
    return subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False
    ).stdout.strip()


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
