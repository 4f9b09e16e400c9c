"""Records an example of every operation's answer into ``app/api/examples.json``: ``python -m tests.examples``."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import httpx

from tests.instances import NAME, SandboxInstance
from tests.product import Product, running_product
from tests.workflows.external_store import running_external_store

FILE = Path("app/api/examples.json")
HOME = "/home/me/.kecs"
#: Longer lists are cut here: an example is for reading.
MOST_ENTRIES = 2


class Recorder:
    """Sends requests and keeps each with its answer, under the operation's method and path."""

    def __init__(self, product: Product) -> None:
        self._product = product
        self.examples: dict[str, dict[str, Any]] = {}

    async def send(self, operation: str, body: dict[str, Any] | None = None, **parameters: str) -> Any:
        """One request and its answer."""
        method, path = operation.split(" ")
        query = parameters.pop("query", "")
        url = path.format(**({"name": NAME} | parameters)) + query
        response = await self._product.service.client.request(method, url, json=body)
        assert response.is_success, f"{operation}: {response.text}"
        example: dict[str, Any] = {"request": body} if body is not None else {}
        if _is_json(response):
            example |= {"status": response.status_code, "response": self._shortened(response.json())}
        self.examples[operation] = example
        return response.json() if _is_json(response) else None

    async def run(self, operation: str, body: dict[str, Any] | None = None, **parameters: str) -> dict[str, Any]:
        """One operation, waited for."""
        return await self._product.service.ended((await self.send(operation, body, **parameters))["id"])

    def _shortened(self, document: Any) -> Any:
        """The document without places of this machine, its long lists cut."""
        text = json.dumps(document).replace(str(self._product.state_dir), HOME).replace(NAME, "demo")
        return _cut(json.loads(text))


def _is_json(response: httpx.Response) -> bool:
    return response.headers.get("content-type", "") == "application/json"


def _cut(value: Any) -> Any:
    if isinstance(value, list):
        return [_cut(entry) for entry in value[:MOST_ENTRIES]]
    if isinstance(value, dict):
        return {key: _cut(entry) for key, entry in value.items()}
    return value


async def walk(product: Product) -> dict[str, dict[str, Any]]:
    """Every operation once, in an order in which each succeeds."""
    recorder = Recorder(product)
    send, run = recorder.send, recorder.run
    hook = {"url": "http://127.0.0.1:8080/kecs", "events": ["job.failed"], "description": "my dashboard"}
    webhook = (await send("POST /webhooks", hook))["id"]
    backup = (await run("POST /instances/{name}/backups", {"labels": {"by": "me"}}))["result"]["backup"]
    failed = await product.service.run(f"/instances/{NAME}/backups", {"timeout_seconds": 0.01})
    assert failed["status"] == "failed"
    await run("POST /jobs/{job_id}/retry", job_id=failed["id"])
    await product.back_up()  # so that the first is not the last good one
    await run("POST /instances/{name}/move-storage", {"to": "internal"})
    await run("POST /instances/{name}/backups/{backup_id}/validate", {"level": "quick"}, backup_id=backup)
    await run("POST /instances/{name}/restores", {"restore": {"namespaces": ["internal"]}})
    await run("POST /instances/{name}/migration", {"accept_missing": False})
    await send("GET /instances/{name}/migration")
    await run("POST /instances/{name}/rebuild", {"labels": {"by": "me"}})
    await run("POST /instances/{name}/stack/wake")
    await run("POST /instances/{name}/stack/sleep")
    for what in ("", "/logs", "/results", "/contents"):
        await send("GET /instances/{name}/backups/{backup_id}" + what, backup_id=backup)
    await send("PUT /instances/{name}/backups/{backup_id}/pin", backup_id=backup)
    await send("DELETE /instances/{name}/backups/{backup_id}/pin", backup_id=backup)
    await run("DELETE /instances/{name}/backups/{backup_id}", backup_id=backup)
    await stop_and_start(product, recorder)
    await look_around(recorder)
    await webhooks(recorder, webhook)
    return recorder.examples


async def stop_and_start(product: Product, recorder: Recorder) -> None:
    """The two stories, an operation cancelled, a restore given up."""
    stop = await recorder.run("POST /instances/{name}/stop", {"backup": {"mode": "required"}, "timeout_seconds": 600})
    await recorder.send("GET /jobs/{job_id}", job_id=stop["id"])
    await recorder.send("GET /jobs/{job_id}/events", job_id=stop["id"])
    await recorder.run("POST /instances/{name}/start", {"restore": {"mode": "auto"}})
    job = (await product.service.post(f"/instances/{NAME}/backups")).json()
    await recorder.send("POST /jobs/{job_id}/cancel", job_id=job["id"])
    await product.service.ended(job["id"])
    await product.stop()
    await product.recreate()
    await product.service.run(f"/instances/{NAME}/backups")  # refused, and due from then on
    await recorder.send("POST /instances/{name}/restore-outstanding/accept", {})


async def look_around(recorder: Recorder) -> None:
    """Everything that only looks."""
    await recorder.send("PUT /instances/{name}/policy", {"keep_last": 3, "rerun_tasks": "skip"})
    for path in ("", "/policy", "/preflight", "/backups", "/stats"):
        await recorder.send("GET /instances/{name}" + path)
    for path in ("/instances", "/jobs", "/events", "/stats", "/metrics", "/audit", "/doctor", "/livez", "/readyz"):
        await recorder.send(f"GET {path}")
    for path in ("/health", "/version", "/images", "/webhooks"):
        await recorder.send(f"GET {path}")


async def webhooks(recorder: Recorder, webhook: str) -> None:
    """A receiver and what it is sent, to its end."""
    one = {"webhook_id": webhook}
    await recorder.send("GET /webhooks/{webhook_id}", **one)
    await recorder.send("PATCH /webhooks/{webhook_id}", {"enabled": True, "events": []}, **one)
    delivery = (await recorder.send("POST /webhooks/{webhook_id}/test", **one))["id"]
    await recorder.send("GET /webhooks/{webhook_id}/deliveries", **one)
    await recorder.send("POST /webhooks/{webhook_id}/deliveries/{delivery_id}/replay", delivery_id=delivery, **one)
    await recorder.send("POST /webhooks/{webhook_id}/rotate-secret", **one)
    await recorder.send("DELETE /webhooks/{webhook_id}", **one)


async def main() -> int:
    """Record everything and keep it."""
    with tempfile.TemporaryDirectory() as directory, running_external_store(Path(directory) / "store") as store:
        async with store.client() as client:
            await client.ensure_bucket()
        async with running_product(SandboxInstance(Path(directory) / "home"), **store.settings) as product:
            examples = await walk(product)
    FILE.write_text(json.dumps(examples, indent=1, sort_keys=True) + "\n")
    sys.stdout.write(f"{len(examples)} examples in {FILE}\n")
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
