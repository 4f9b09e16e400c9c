"""Requests nobody would send, made from the API's own document, and what is wrong with the answers."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
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
from tests.product import Product

CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]
#: An error of ours, declared so that its form is known. Other statuses above it, where they are declared, are the right
#: answer: that of a preflight, say, while a job powers the cluster off.
ERROR_OF_OURS = 500
#: A product whose waits are short, since any request may ask for one.
SHORT_WAITS = {"SERVER__MAX_WAIT_SECONDS": "1", "WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1"}
REQUEST_SECONDS = 30


def operations_of(document: dict[str, Any]) -> list[Any]:
    """Everything the document says can be asked."""
    return [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]


@dataclass
class Requests:
    """Requests of one kind: to whom, and what came of them."""

    url: str
    known: Mapping[str, str]
    """A value that is there for every parameter of a path."""
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    failures: list[str] = field(default_factory=list)

    @property
    def answered(self) -> int:
        """How many were."""
        return self.statuses.total()

    def name_what_is_there(self, case: Any) -> None:
        """Have the path of a request say names and ids that are known."""
        wanted = case.path_parameters or {}
        case.path_parameters = {key: self.known.get(key, value) for key, value in wanted.items()}

    def judge(self, case: Any, answer: Any, *checks: Any, recorder: Any = None) -> None:
        """Count an answer; raises ``FailureGroup`` for one that no request may get."""
        self.operations.add(case.operation.label)
        self.statuses[answer.status_code] += 1
        own = [not_a_server_error] if answer.status_code == ERROR_OF_OURS else []
        case.validate_response(answer, checks=[*own, *CONFORMANCE, *checks], recorder=recorder)


@dataclass
class Attack(Requests):
    """Sends generated requests, each for itself; about half of them name things that are there."""

    examples: int = 25
    """Requests to one operation in one go; fewer where it fails."""
    broken_off: int = 0
    """Times the generator failed and not the service: CPython 3.11 can trip over its own parser deep in a thread."""

    def on(self, operation: Any, mode: GenerationMode, number: int = 0) -> None:
        """Generated requests to one operation, until one is answered wrongly; the same number makes the same ones.

        What is found is noted and not raised: run again, the service could answer otherwise.
        """
        found: list[str] = []

        @seed(number)
        @settings(
            max_examples=self.examples, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=operation.as_strategy(generation_mode=mode), name_it=st.booleans())
        def send(case: Any, name_it: bool) -> None:
            if found:
                return
            if name_it:
                self.name_what_is_there(case)
            try:
                self.judge(case, case.call(base_url=self.url, timeout=REQUEST_SECONDS))
            except FailureGroup as failures:
                found.extend(map(str, failures.exceptions))
            except requests.RequestException as error:
                found.append(f"no answer: {error}")

        try:
            send()
        except* Unsatisfiable:
            pass
        except* SystemError:  # alone, or among others where its second look met something else
            self.broken_off += 1
        self.failures += [f"{operation.label}, seed {number}: {each}" for each in found]


async def things_that_are_there(product: Product) -> dict[str, str]:
    """A value for every parameter of a path."""
    job = await product.back_up()
    known = {"name": NAME, "job_id": job["id"], "backup_id": job["result"]["backup"]}
    return known | await a_webhook(product)


async def a_webhook(product: Product) -> dict[str, str]:
    """A new webhook and a delivery of it."""
    webhook = (await product.service.post("/webhooks", {"url": "http://127.0.0.1:9/"})).json()
    delivery = (await product.service.post(f"/webhooks/{webhook['id']}/test")).json()
    return {"webhook_id": webhook["id"], "delivery_id": delivery["id"]}
