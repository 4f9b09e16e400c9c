"""What counts as a finding of the attack, and what is the generator's own trouble."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.core.failures import Failure, FailureGroup

from tests.fuzz.attack import Attack


class Once(Attack):
    """Its first answer is judged to be ``trouble``, the others are good."""

    trouble: BaseException | None = None

    def judge(self, *_answer: Any, **_also: Any) -> None:
        """Raise what is asked for, once."""
        trouble, self.trouble = self.trouble, None
        if trouble is not None:
            raise trouble


OPERATION = SimpleNamespace(label="GET /x", as_strategy=lambda **_: st.just(SimpleNamespace(call=lambda **_: None)))


@pytest.mark.parametrize(
    ("trouble", "broken_off", "findings"),
    [
        (SystemError("AST constructor recursion depth mismatch"), 1, 0),
        (FailureGroup([Failure(operation="GET /x", title="Server error", message="500")]), 0, 1),
    ],
    ids=["generator", "server"],
)
def test_trouble_that_does_not_come_again_is_told_apart(trouble: BaseException, broken_off: int, findings: int) -> None:
    """A run of 37,000 requests ended when CPython's parser failed in one look of the generator and not in the next."""
    attack = Once(url="http://127.0.0.1:9", known={})
    attack.trouble = trouble

    attack.on(OPERATION, GenerationMode.POSITIVE)

    assert (attack.broken_off, len(attack.failures)) == (broken_off, findings)
