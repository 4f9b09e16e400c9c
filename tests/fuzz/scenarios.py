"""Requests that go on from what earlier answers gave: create, read, change, delete, along the document's links."""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from hypothesis.errors import Flaky
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import ensure_resource_availability, use_after_free

from tests.fuzz.attack import REQUEST_SECONDS, Requests

#: A receiver that may be registered; what else a URL may be is for the requests that stand alone.
RECEIVER = "http://127.0.0.1:9/"
#: Rules of the library's state machine that may begin a scenario. It would take every POST for one, and most of those
#: are refused without an answer before them: nothing would follow.
BEGINNINGS = {"RANDOM__GET_instances", "RANDOM__GET_jobs", "RANDOM__GET_webhooks", "RANDOM__POST_webhooks"}


@dataclass
class Scenarios(Requests):
    """Sends chains of requests, each step but the first with ids from an answer before it.

    One at a time for one service: whether something must still be there, or must be gone, is judged by the requests of
    the chain itself.
    """

    number: int = 30
    """Scenarios in one go."""
    steps: int = 10
    """Requests in one scenario, at most."""
    begun: int = 0
    """Scenarios so far."""
    later_steps: int = 0
    """Requests with something of an earlier answer in them."""

    def of(self, document: dict[str, Any], number: int = 0) -> None:
        """Scenarios over what the document links; the same number makes the same ones, as far as the answers are."""
        done = self.begun + self.number
        for suite in itertools.count():
            machine = hypothesis.seed(f"{number}.{suite}")(self._machine(document, number))
            # Answers differ with time, and so may what is sent next. Where the library gives up over that: anew; so too
            # where CPython 3.11 trips over its own parser (see Attack).
            with contextlib.suppress(Flaky, SystemError):
                machine.run(settings=self._settings(done - self.begun))
            if self.begun >= done:
                return

    def _settings(self, number: int) -> hypothesis.settings:
        return hypothesis.settings(
            max_examples=number, stateful_step_count=self.steps, deadline=None, database=None,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip

    def _machine(self, document: dict[str, Any], number: int) -> Any:
        schema = schemathesis.openapi.from_dict(document)
        # Guessed links take a job's id for a backup's name; the document has its own.
        schema.config.phases.stateful.inference.algorithms = []
        machine = schema.as_state_machine()
        assert machine.root_rules >= BEGINNINGS
        sent = self

        class Scenario(machine):  # type: ignore[misc, valid-type] - made at run time
            """What is found is noted and the scenario goes on: run again, the service would answer otherwise."""

            locals().update(dict.fromkeys(machine.root_rules - BEGINNINGS))

            def setup(self) -> None:
                sent.begun += 1
                self.said: list[str] = []
                self.silent = False

            def step(self, input: Any) -> Any:  # noqa: A002 - the library's name for it
                """One request, unless one before it had no answer."""
                if self.silent:
                    return None
                if input.transition is None:
                    sent.begin_well(input.case)
                sent.later_steps += input.is_applied
                try:
                    return super().step(input)
                except requests.RequestException as error:
                    self.silent = True
                    sent.note(number, [f"{input.case.operation.label}: no answer: {error}"], self.said)
                    return None

            def get_call_kwargs(self, case: Any) -> dict[str, Any]:  # noqa: ARG002
                return {"base_url": sent.url, "timeout": REQUEST_SECONDS}

            def validate_response(self, response: Any, case: Any, **_kwargs: Any) -> None:
                self.said.append(f"{case.method} {case.formatted_path} {response.status_code}")
                try:
                    sent.judge(case, response, *_checks(case), recorder=self.recorder)
                except FailureGroup as failures:
                    found = [f"{case.operation.label}: {failure}" for failure in failures.exceptions]
                    sent.note(number, found, self.said)

        return Scenario

    def begin_well(self, case: Any) -> None:
        """Have a first request be one that can succeed, or nothing would follow."""
        case.query = {}
        if isinstance(case.body, dict) and case.operation.label == "POST /webhooks":
            case.body = case.body | {"url": RECEIVER}

    def note(self, number: int, found: Sequence[str], said: Sequence[str]) -> None:
        """Keep what is wrong with an answer, with the requests that led to it."""
        self.failures += [f"seed {number}, {failure}; after {' > '.join(said)}" for failure in found]


def _checks(case: Any) -> list[Any]:
    """Besides those of every request.

    What was made must be there (for all), and what was deleted must be gone: for webhooks alone, as a deleted backup
    stays readable as history, and the answer to its DELETE is a job that may yet fail.
    """
    return [ensure_resource_availability, *([use_after_free] if case.path.startswith("/webhooks") else [])]
