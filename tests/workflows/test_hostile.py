"""Requests nobody would send, to every operation of the document, at a service with a real instance."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from schemathesis import GenerationMode

from tests.fuzz.attack import SHORT_WAITS, Attack, operations_of, things_that_are_there
from tests.product import Product, sandbox_product

#: With a body or a typed parameter. What is only a text in the path cannot be of a wrong type.
CAN_BE_SENT_NONSENSE = 18


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
    assert attack.requests > 10 * len(attack.operations)
    assert (await product.service.client.get("/readyz")).status_code == 200
