"""``python -m tests.fuzz --requests 50000``: hostile requests to a running service; exit status 1 for any finding.

A finding is a status of 500, an answer that the document does not declare, no answer, or a dead service.
The seed and the round say which requests were sent: ``--seed N`` begins with the same ones again.
"""

import argparse
import asyncio
import itertools
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from schemathesis import GenerationMode

from tests.fuzz.attack import SHORT_WAITS, Attack, a_webhook, operations_of, things_that_are_there
from tests.product import Product, sandbox_product
from tests.programs import commit, keep_report, run_to_its_end

#: Operations attacked at the same time.
AT_ONCE = 4


def main() -> int:
    """The process's exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--requests", type=int, default=50_000, help="at least so many (50,000)")
    parser.add_argument("--seed", type=int, default=20261125, help="of the first round; each round adds one")
    parser.add_argument("--keep", type=Path, default=Path("var/fuzz.json"), help="where the report goes")
    asked = parser.parse_args()
    report = {"commit": commit(), "seed": asked.seed} | run_to_its_end(run(asked.requests, asked.seed))
    keep_report(report, asked.keep)
    print(json.dumps(report, indent=2))
    print(f"{report['requests']} requests from seed {asked.seed}: {len(report['findings'])} findings")
    return 1 if report["findings"] else 0


async def run(wanted: int, seed: int) -> dict[str, Any]:
    """Rounds over every operation until that many requests were answered; what was seen."""
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kecs-state-fuzz-") as directory:
        async with sandbox_product(Path(directory), **SHORT_WAITS) as product:
            known = await things_that_are_there(product)
            attack = Attack(str(product.service.client.base_url), known)
            alive = True
            rounds = itertools.count()
            while alive and attack.requests < wanted:
                attack.known = known | await a_webhook(product)
                told = len(attack.failures)
                await one_round(product, attack, seed + next(rounds))
                for failure in attack.failures[told:]:
                    print(f"FINDING: {failure}", flush=True)
                alive = await is_ready(product)
                print(f"{attack.requests} of {wanted} requests, {time.monotonic() - began:.0f} s, "
                      f"{len(attack.failures)} findings", flush=True)  # fmt: skip
    dead = [] if alive else ["the service is not ready any more"]
    return {
        "requests": attack.requests,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "rounds": next(rounds),
        "operations": len(attack.operations),
        "statuses": {str(status): number for status, number in sorted(attack.statuses.items())},
        "findings": sorted(set(attack.failures)) + dead,
    }


async def one_round(product: Product, attack: Attack, number: int) -> None:
    """What the document allows and what it does not, to every operation, some at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(operation: Any, mode: GenerationMode) -> None:
        async with gate:
            await asyncio.to_thread(attack.on, operation, mode, number)

    operations = operations_of((await product.service.client.get("/openapi.json")).json())
    async with asyncio.TaskGroup() as group:
        for operation, mode in itertools.product(operations, (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)):
            group.create_task(one(operation, mode))


async def is_ready(product: Product) -> bool:
    """Whether the service still serves."""
    return (await product.service.client.get("/readyz")).status_code == 200


if __name__ == "__main__":
    sys.exit(main())
