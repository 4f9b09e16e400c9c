"""``python -m tests.fuzz --requests 50000``: hostile requests to a running service; exit status 1 for any finding.

Most requests stand alone; the others are scenarios, whose steps go on from what earlier answers gave.
A finding is a status of 500, an answer that the document does not declare, no answer, something made that is not there
or something deleted that still is, or a dead service.
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

from tests.fuzz.attack import SHORT_WAITS, Attack, Requests, a_webhook, operations_of, things_that_are_there
from tests.fuzz.scenarios import Scenarios
from tests.product import Product, sandbox_product
from tests.programs import commit, keep_report, run_to_its_end

#: Operations attacked at the same time.
AT_ONCE = 4
#: In each round, beside them.
SCENARIOS = 60


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
            url = str(product.service.client.base_url)
            attack, scenarios = Attack(url, known), Scenarios(url, known, number=SCENARIOS)
            kinds = (attack, scenarios)
            alive = True
            rounds = itertools.count()
            while alive and answered(*kinds) < wanted:
                attack.known = known | await a_webhook(product)
                told = [len(kind.failures) for kind in kinds]
                await one_round(product, attack, scenarios, seed + next(rounds))
                for kind, before in zip(kinds, told, strict=True):
                    for failure in kind.failures[before:]:
                        print(f"FINDING: {failure}", flush=True)
                alive = await is_ready(product)
                print(f"{answered(*kinds)} of {wanted} requests, {scenarios.answered} of them in scenarios, "
                      f"{time.monotonic() - began:.0f} s, {sum(len(kind.failures) for kind in kinds)} findings",
                      flush=True)  # fmt: skip
    dead = [] if alive else ["the service is not ready any more"]
    return {
        "requests": answered(*kinds),
        "requests_in_scenarios": scenarios.answered,
        "scenarios": scenarios.begun,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "rounds": next(rounds),
        "generator_broken_off": attack.broken_off,
        "operations": len(attack.operations),
        "operations_in_scenarios": len(scenarios.operations),
        "statuses": {str(status): number for status, number in sorted((attack.statuses + scenarios.statuses).items())},
        "findings": sorted({*attack.failures, *scenarios.failures}) + dead,
    }


def answered(*kinds: Requests) -> int:
    """How many requests of all kinds were."""
    return sum(kind.answered for kind in kinds)


async def one_round(product: Product, attack: Attack, scenarios: Scenarios, number: int) -> None:
    """What the document allows and what it does not, to every operation, some at a time; scenarios meanwhile."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(operation: Any, mode: GenerationMode) -> None:
        async with gate:
            await asyncio.to_thread(attack.on, operation, mode, number)

    document = (await product.service.client.get("/openapi.json")).json()
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.to_thread(scenarios.of, document, number))
        for operation, mode in itertools.product(
            operations_of(document), (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
        ):
            group.create_task(one(operation, mode))


async def is_ready(product: Product) -> bool:
    """Whether the service still serves."""
    return (await product.service.client.get("/readyz")).status_code == 200


if __name__ == "__main__":
    sys.exit(main())
