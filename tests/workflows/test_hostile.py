"""Requests nobody would send, to every operation of the document, at a service with a real instance."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.instances import NAME
from tests.product import Product, sandbox_product

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
EXAMPLES = 25
#: With a body or a typed parameter. What is only a text in the path cannot be of a wrong type.
CAN_BE_SENT_NONSENSE = 18
REQUEST_SECONDS = 30


@dataclass
class Attack:
    """Sends generated requests; about half of them name things that are there."""

    url: str
    known: dict[str, str]
    requests: int = 0
    operations: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    def on(self, operation: Any, mode: GenerationMode) -> None:
        """Every generated request to one operation."""

        @settings(
            max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode), name_it=st.booleans())
        def send(case: Any, name_it: bool) -> None:
            if name_it:
                wanted = case.path_parameters or {}
                case.path_parameters = {key: self.known.get(key, value) for key, value in wanted.items()}
            self.requests += 1
            self.operations.add(operation.label)
            case.call_and_validate(base_url=self.url, checks=CHECKS, timeout=REQUEST_SECONDS)

        try:
            send()
        except Unsatisfiable:
            return
        except FailureGroup as failures:
            self.failures += [f"{operation.label}: {failure}" for failure in failures.exceptions]


@pytest.fixture
async def product(tmp_path: Path) -> AsyncIterator[Product]:
    """A product whose waits are short, since any request may ask for one."""
    async with sandbox_product(tmp_path, SERVER__MAX_WAIT_SECONDS="1", WORKFLOW__PREFLIGHT_WAIT_SECONDS="1") as running:
        yield running


async def things_that_are_there(product: Product) -> dict[str, str]:
    """A value for every parameter of a path."""
    job = await product.back_up()
    webhook = (await product.service.post("/webhooks", {"url": "http://127.0.0.1:9/"})).json()
    delivery = (await product.service.post(f"/webhooks/{webhook['id']}/test")).json()
    known = {"name": NAME, "job_id": job["id"], "backup_id": job["result"]["backup"]}
    return known | {"webhook_id": webhook["id"], "delivery_id": delivery["id"]}


@pytest.mark.timeout(400)
@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE])
async def test_every_request_is_answered_as_the_document_says(product: Product, mode: GenerationMode) -> None:
    """No error of ours, no status, media type or form of an answer that is not declared; and the service lives on."""
    document = (await product.service.client.get("/openapi.json")).json()
    operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
    attack = Attack(str(product.service.client.base_url), await things_that_are_there(product))
    for operation in operations:
        await asyncio.to_thread(attack.on, operation, mode)
    assert attack.failures == []
    expected = len(operations) if mode is GenerationMode.POSITIVE else CAN_BE_SENT_NONSENSE
    assert len(attack.operations) >= expected
    assert attack.requests > 10 * len(attack.operations)
    assert (await product.service.client.get("/readyz")).status_code == 200
