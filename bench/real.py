"""Figures of the real stack, each beside the Velero CLI doing the same in the same run; docs/real-stack.md.

``python -m bench.real [OBJECTS ...]``: sizes in objects, by default 60, 1,000 and 2,000. Needs what
tests/real/README.md says. A missed goal is printed and ends the command with 1.
"""

import asyncio
import shutil
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from app.concurrency import together
from app.sandbox.seed import seed_manifests
from bench.figures import Figures, job_seconds, own_seconds, step_seconds
from bench.memory import memory_of_components
from bench.pods import Pods, asleep, running, running_pods
from bench.report import write_report
from bench.stops import JOB_SECONDS, POLICY, fill, succeeded
from bench.timeline import bars
from bench.velero_cli import Runbook
from tests.instances import NAME
from tests.product import Product, running_product
from tests.real.instance import RealInstance

ROOT = Path("var/bench-real").absolute()
SIZES = (60, 1000, 2000)
SMALL_ROUNDS, LARGE_ROUNDS = 10, 3
#: Of the seed, what makes about sixty objects with KECS's own.
SMALL_NAMESPACES = {"", "shop-us-east-1", "internal", "kube-system"}


async def main(sizes: list[int]) -> int:
    """Measure every size, print progress, write the report."""
    console = Console(highlight=False)
    shutil.rmtree(ROOT, ignore_errors=True)
    measured = []
    for size in sizes:
        console.print(f"{size:,} objects:")
        measured.append(await measure(console, size))
        missed = write_report(measured)  # after each, since the largest takes longest and may not come to its end
    for line in missed:
        console.print(f"missed: {line}", style="red")
    return 1 if missed else 0


async def measure(console: Console, size: int) -> Figures:
    """One cluster of that size through every story, then by hand."""
    figures = Figures(size)
    instance = BenchInstance(ROOT / str(size))
    async with running_product(instance) as product:
        product.service.job_seconds = JOB_SECONDS
        async with product.kube() as kube:
            await fill(product.service, NAME, kube, size)
        await decide(product, POLICY)
        rounds = SMALL_ROUNDS if size < SIZES[1] else LARGE_ROUNDS
        console.print("  install, stop, start survived ...")
        await stop_and_start(product, figures, first=True)
        for _ in range(rounds):
            await stop_and_start(product, figures)
        console.print("  with the stack resident, in turn with the CLI ...")
        runbook = Runbook(product, ROOT)
        await decide(product, POLICY | {"stack": "resident"})
        await product.service.run(f"/instances/{NAME}/stack/wake")
        for number in range(rounds):
            figures.add_cli("backup", await runbook.back_up(f"by-hand-{number}"))
            await stop_resident(product, figures)
        await decide(product, POLICY)
        console.print("  by hand: scale up and back up ...")
        await product.service.run(f"/instances/{NAME}/stack/wake")  # a person's, or it would be put to sleep again
        figures.add_cli("asleep to backed up", (await runbook.back_up_from_sleep("by-hand"))[0])
        figures.memory_mib = memory_of_components(instance, product.service.pid)
        console.print("  recreated ...")
        async with product.kube() as kube:
            wanted = await running_pods(kube)
        await product.recreate()
        await start_recreated(product, figures, wanted)
        console.print("  by hand: recreated, install, find the backup, restore ...")
        await product.recreate()
        runbook = Runbook(product, ROOT)
        installed = await runbook.install()
        found_and_restored, restored = await runbook.restore("by-hand", wanted)
        figures.add_cli("install", installed)
        figures.add_cli("restore", restored)
        figures.add_cli("start recreated", installed + found_and_restored)
    return figures


async def decide(product: Product, policy: dict[str, Any]) -> None:
    """The instance's whole policy."""
    (await product.service.client.put(f"/instances/{NAME}/policy", json=policy)).raise_for_status()


async def stop_and_start(product: Product, figures: Figures, *, first: bool = False) -> None:
    """One stop and one start of a cluster that survives; the first installs the stack."""
    async with product.kube() as kube:
        await asleep(kube)
    stopped = succeeded(await product.stop())
    events = await events_of(product, stopped)
    steps, chart = step_seconds(events), bars(events)
    proven = next(bar.end for bar in chart if bar.step == "prove-backup")
    started = succeeded(await product.start())
    await product.settled()
    if first:
        figures.add("install", steps["wake-stack"])
        return
    figures.stop = chart
    figures.add("wake", steps["wake-stack"])
    figures.add("backup", steps["create-backup"] + steps["wait-for-backup"])
    figures.add("proof", steps["prove-backup"])
    figures.add("asleep to proven", proven)
    figures.add("own time in a stop", own_seconds(stopped, steps))
    figures.add("stop", chart[-1].end)
    figures.add("start survived", bars(await events_of(product, started))[-1].end)


async def stop_resident(product: Product, figures: Figures) -> None:
    """A stop whose stack is up, but for its power-off; and a start, until every pod runs again."""
    stopped = succeeded(await product.stop())
    steps = step_seconds(await events_of(product, stopped))
    figures.add("stop, stack resident", job_seconds(stopped) - steps["power-off"] - steps["verify-off"])
    succeeded(await product.start())
    await product.settled()


async def start_recreated(product: Product, figures: Figures, wanted: Pods) -> None:
    """Somebody has made the cluster anew; its API answers when the start begins."""
    seconds, job = await together(running(product, wanted), product.start())
    started = succeeded(job)
    comparison = started["result"]["restored"]["comparison"]
    if comparison["missing"] or comparison["differing"]:
        raise RuntimeError(f"not everything came back: {comparison}")
    events = await events_of(product, started)
    steps = step_seconds(events)
    figures.start = bars(events)
    figures.add("restore", steps["restore-everything"] + steps.get("restore-webhooks", 0.0))
    figures.add("recreated, to workloads running", seconds)
    ready = next(bar.end for bar in figures.start if bar.step == "wait-for-workloads")
    figures.add("recreated, to workloads ready", ready)
    figures.add("start recreated", max(bar.end for bar in figures.start))


async def events_of(product: Product, job: dict[str, Any]) -> list[dict[str, Any]]:
    """The journal of a job."""
    events: list[dict[str, Any]] = (await product.service.client.get(f"/jobs/{job['id']}/events")).json()
    return events


class BenchInstance(RealInstance):
    """Small enough for the smallest size."""

    async def seed(self) -> None:
        """One of the seed's three ECS clusters."""
        await self.apply([each for each in seed_manifests() if small(each)])


def small(manifest: dict[str, Any]) -> bool:
    """Whether an object is of the small seed."""
    metadata = manifest["metadata"]
    place = metadata["name"] if manifest["kind"] == "Namespace" else metadata.get("namespace", "")
    return place in SMALL_NAMESPACES


if __name__ == "__main__":
    sys.exit(asyncio.run(main([int(size) for size in sys.argv[1:]] or list(SIZES))))
