"""A receiver that is down while the service crashes, with a real service, a real stop and the reference verifier."""

from pathlib import Path
from typing import Any

import pytest

from app.sandbox.ports import free_port
from tests.instances import NAME
from tests.product import Product, sandbox_product
from tests.waiting import eventually
from tests.webhooks.receiver import Receiver, listening


async def register(product: Product, url: str) -> dict[str, Any]:
    """A webhook with its secret."""
    webhook: dict[str, Any] = (await product.service.post("/webhooks", {"url": url})).json()
    return webhook


@pytest.mark.timeout(150)
async def test_a_receiver_that_is_down_across_a_crash_hears_everything(tmp_path: Path) -> None:
    """The stop's messages wait in the database; after the crash they go out, and so does the callback of a start."""
    receiver = Receiver(port=free_port())
    async with sandbox_product(tmp_path) as product:
        webhook = await register(product, receiver.url())
        job = await product.stop()
        assert job["status"] == "succeeded", job
        await product.service.kill()
        await product.service.start()
        async with listening(receiver):
            # Tried twice in vain by now, so the next time would be in minutes.
            await product.service.client.patch(f"/webhooks/{webhook['id']}", json={"url": receiver.url()})
            messages = [got.verified(webhook["secret"]) for got in await receiver.has(3)]
            callback = {"callback_url": receiver.url("/callback")}
            started = await product.service.run(f"/instances/{NAME}/start", callback)
            await eventually(lambda: heard(receiver, "/callback", "job.succeeded"))
    assert {message["type"] for message in messages} == {"job.started", "backup.proven", "job.succeeded"}
    assert {message["data"]["job"]["id"] for message in messages} == {job["id"]}
    secret = (tmp_path / "state" / "webhook-secret").read_text()
    assert (tmp_path / "state" / "webhook-secret").stat().st_mode & 0o777 == 0o600
    callbacks = [got.verified(secret) for got in receiver.got if got.target == "/callback"]
    assert {message["data"]["job"]["id"] for message in callbacks} == {started["id"]}


async def heard(receiver: Receiver, target: str, kind: str) -> bool:
    """Whether such a message came in."""
    return any(got.target == target and f'"{kind}"'.encode() in got.body for got in receiver.got)
