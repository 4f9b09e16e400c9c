"""Requests nobody would send, to every operation of the document, at a service with a real instance."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from schemathesis import GenerationMode

from app.webhooks.store import WebhookStore
from tests.api.serving import served_api
from tests.fuzz.attack import SHORT_WAITS, Attack, operations_of, things_that_are_there
from tests.fuzz.scenarios import Scenarios
from tests.product import Product, sandbox_product

#: With a body or a typed parameter. What is only a text in the path cannot be of a wrong type.
CAN_BE_SENT_NONSENSE = 18
#: Rounds of scenarios at most in which a service that does not delete must be found out.
ROUNDS_TO_FIND = 10


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """A product whose waits are short."""
    async with sandbox_product(tmp_path, **SHORT_WAITS) as running:
        yield running


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_every_request_is_answered_as_the_document_says(product: Product, mode: GenerationMode) -> None:
    """No error of ours, no status, media type or form of an answer that is not declared; and the service lives on."""
    operations = operations_of((await product.service.client.get("/openapi.json")).json())
    attack = Attack(str(product.service.client.base_url), await things_that_are_there(product))
    for operation in operations:
        await asyncio.to_thread(attack.on, operation, mode)
    assert attack.failures == []
    expected = len(operations) if mode is GenerationMode.POSITIVE else CAN_BE_SENT_NONSENSE
    assert len(attack.operations) >= expected
    assert attack.answered > 10 * len(attack.operations)
    assert (await product.service.client.get("/readyz")).status_code == 200


@pytest.mark.timeout(200)
async def test_what_was_made_is_there_and_what_was_deleted_is_gone(product: Product) -> None:
    """The same of requests that go on from what earlier ones gave: most of them do, to jobs, backups and webhooks."""
    document = (await product.service.client.get("/openapi.json")).json()
    scenarios = Scenarios(str(product.service.client.base_url), await things_that_are_there(product), number=15)
    await asyncio.to_thread(scenarios.of, document)
    assert scenarios.failures == []
    assert scenarios.begun >= scenarios.number
    assert scenarios.later_steps > scenarios.begun
    assert {"DELETE /webhooks/{webhook_id}", "GET /jobs/{job_id}", "GET /instances/{name}"} <= scenarios.operations
    assert (await product.service.client.get("/readyz")).status_code == 200


@pytest.mark.timeout(200)
async def test_scenarios_find_what_outlives_its_deletion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that only says it has deleted a webhook is found out, with the requests that show it."""

    async def keep(self: WebhookStore, webhook_id: str) -> None:
        await self.get(webhook_id)

    monkeypatch.setattr(WebhookStore, "delete", keep)
    async with served_api(tmp_path) as served:
        scenarios = Scenarios(served.url, {}, number=15)
        document = (await served.client.get("/openapi.json")).json()
        found: list[str] = []
        # What a scenario goes on with depends on answers, and not every fifteen delete a webhook and ask for it again.
        for number in range(ROUNDS_TO_FIND):
            await asyncio.to_thread(scenarios.of, document, number)
            found += [failure for failure in scenarios.failures if "previously deleted" in failure]
            if found:
                break
    assert found
    assert all("DELETE /webhooks/" in failure for failure in found)
