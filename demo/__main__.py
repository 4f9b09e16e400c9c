"""Stop an instance, recreate its cluster from nothing, start it, and show object by object what came back."""

import asyncio
import json
import os
import shutil
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console
from rich.table import Table

from app.sandbox import supervisor
from app.sandbox.seed import seed, seed_custom_resources
from demo.snapshot import Snapshot, compare, take_snapshot

NAME = "demo"
ROOT = Path("var/demo")
STATE = (ROOT / "state").absolute()
console = Console(highlight=False)


async def main() -> int:
    """Run the demo; the exit code says whether everything came back."""
    shutil.rmtree(ROOT, ignore_errors=True)
    STATE.mkdir(parents=True)
    began = time.monotonic()
    try:
        async with service() as client:
            summary = await stop_and_start(client)
    finally:
        await supervisor.delete(STATE, NAME)
    summary["seconds"]["total"] = round(time.monotonic() - began, 1)
    (ROOT / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    show(summary)
    good = summary["objects_before"] == summary["objects_after"] >= 80 and summary["differences"] == []
    return 0 if good else 1


async def stop_and_start(client: httpx.AsyncClient) -> dict[str, Any]:
    """The story, with a snapshot before and one after."""
    say("Making a sandbox cluster and filling it as a user of KECS would")
    await supervisor.create(STATE, NAME)
    await seed(STATE, NAME)
    await settled()
    say("A CustomResourceDefinition with objects, seconds before the stop (a plain Velero backup loses them)")
    await seed_custom_resources(STATE, NAME)
    before = await take_snapshot(supervisor.kubeconfig(STATE, NAME))
    say(f"POST /instances/{NAME}/stop")
    stop = await run_job(client, "stop")
    say("The cluster is recreated from nothing: new CA, new identity, none of the objects")
    await supervisor.delete(STATE, NAME)
    await supervisor.create(STATE, NAME)
    await supervisor.power_off(STATE, NAME)
    say(f"POST /instances/{NAME}/start")
    start = await run_job(client, "start")
    after = await take_snapshot(supervisor.kubeconfig(STATE, NAME))
    return summarise(before, after, stop, start)


async def settled() -> None:
    """Until every pod runs: a cluster in the middle of starting is no fair picture."""
    async with asyncio.timeout(30):
        while True:
            snapshot = await take_snapshot(supervisor.kubeconfig(STATE, NAME))
            pods = [item for key, item in snapshot.objects.items() if key.startswith("pods ")]
            if pods and all(pod["status"]["phase"] in {"Running", "Succeeded"} for pod in pods):
                return
            await asyncio.sleep(0.3)


async def run_job(client: httpx.AsyncClient, operation: str) -> dict[str, Any]:
    """Submit an operation and print its steps as they end."""
    response = await client.post(f"/instances/{NAME}/{operation}")
    response.raise_for_status()
    job: dict[str, Any] = response.json()
    seen = 0
    while job["status"] not in {"succeeded", "failed", "cancelled"}:
        job = (await client.get(f"/jobs/{job['id']}", params={"wait": 1})).json()
        for event in (await client.get(f"/jobs/{job['id']}/events", params={"after": seen})).json():
            seen = event["id"]
            if event["type"] == "step.succeeded":
                console.print(f"    [green]✓[/] {event['data']['step']:<32}{event['data']['seconds']:6.2f} s")
    for warning in job["warnings"]:
        console.print(f"    [yellow]![/] {warning['code']}: {warning['detail']}")
    if job["status"] != "succeeded":
        console.print_json(json.dumps(job["error"]))
        raise SystemExit(f"the {operation} {job['status']}")
    return job


def summarise(before: Snapshot, after: Snapshot, stop: dict[str, Any], start: dict[str, Any]) -> dict[str, Any]:
    """The figures of ``summary.json``."""
    found, ignored = compare(before, after)
    restored = start["result"]["restored"]
    return {
        "instance": NAME,
        "objects_before": len(before.restorable),
        "objects_in_backup": stop["result"]["proof"]["items_in_backup"],
        "objects_after": len(after.restorable),
        "differences": found,
        "ignored": dict(ignored),
        "controlled": {"before": len(before.controlled), "after": len(after.controlled)},
        "not_restorable": before.not_restorable,
        "made_by_kecs": {"before": sorted(before.left_to_kecs), "after": sorted(after.left_to_kecs)},
        "by_type": {
            name: [count(before, name), count(after, name)]
            for name in sorted({key.partition(" ")[0] for key in before.restorable | after.restorable})
        },
        "rerun_tasks": restored["rerun_tasks"],
        "proof": stop["result"]["proof"],
        "warnings": stop["warnings"] + start["warnings"],
        "seconds": {"stop": seconds_of(stop), "start": seconds_of(start)},
    }


def count(snapshot: Snapshot, name: str) -> int:
    """Restorable objects of one type."""
    return sum(key.partition(" ")[0] == name for key in snapshot.restorable)


def seconds_of(job: dict[str, Any]) -> float:
    """How long a job ran."""
    from datetime import datetime

    ended, begun = (datetime.fromisoformat(job[name]) for name in ("finished_at", "started_at"))
    return round((ended - begun).total_seconds(), 2)


def show(summary: dict[str, Any]) -> None:
    """The closing table."""
    table = Table(title="Before the stop, and after a start from nothing")
    for column in ("resource", "before", "after"):
        table.add_column(column, justify="left" if column == "resource" else "right")
    for name, (before, after) in summary["by_type"].items():
        table.add_row(name, str(before), str(after), style=None if before == after else "red")
    table.add_section()
    table.add_row("restorable objects", str(summary["objects_before"]), str(summary["objects_after"]), style="bold")
    controlled = summary["controlled"]
    table.add_row("made by their controllers", str(controlled["before"]), str(controlled["after"]), style="dim")
    table.add_row("not restorable by nature", str(len(summary["not_restorable"])), "-", style="dim")
    made = summary["made_by_kecs"]
    table.add_row("made by KECS at its start", str(len(made["before"])), str(len(made["after"])), style="dim")
    console.print(table)
    proof = summary["proof"]
    console.print(
        f"In the backup {summary['objects_in_backup']} objects; {len(summary['differences'])} differences; "
        f"{sum(summary['ignored'].values())} fields ignored by {len(summary['ignored'])} rules"
    )
    console.print(
        f"Proof: {proof['objects_hashed']} files, {proof['size_bytes']:,} bytes read and hashed in "
        f"{proof['seconds']:.2f} s, canary on the host's disk {proof['canary']}"
    )
    times = summary["seconds"]
    console.print(f"Stop {times['stop']} s, start {times['start']} s, demo {times['total']} s; {ROOT / 'summary.json'}")
    for difference in summary["differences"]:
        console.print(f"  [red]{difference}[/]")


def say(text: str) -> None:
    """One line of the story."""
    console.print(f"[bold]>[/] {text}")


@asynccontextmanager
async def service() -> AsyncIterator[httpx.AsyncClient]:
    """The service as a process of its own, ended by its id."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = ["-m", "app.cli.main", "serve", "--sandbox", "--state-dir", str(STATE), "--port", str(port)]
    with (ROOT / "service.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=log, stderr=log, env=os.environ)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            async with asyncio.timeout(20):
                while not await ready(client):
                    await asyncio.sleep(0.05)
            yield client
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)
            await process.wait()


async def ready(client: httpx.AsyncClient) -> bool:
    """Whether the service answers that it is ready."""
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
