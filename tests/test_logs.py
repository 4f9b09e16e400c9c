"""What a log line carries, and what it never does."""

import json
import logging
from collections.abc import Iterator

import pytest

from app.logs import bound, configure, redacted


@pytest.fixture(autouse=True)
def _loggers_restored() -> Iterator[None]:
    """The root logger as pytest had it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


@pytest.mark.parametrize(
    "text",
    [
        "aws_secret_access_key = hunter2",
        'body {"password": "hunter2"}',
        "Authorization: Bearer hunter2",
        "postgresql://kecs:hunter2@db/state",
        "client-key-data: hunter2",
    ],
)
def test_a_secret_in_a_message_is_replaced(text: str) -> None:
    """Whatever a library chose to say."""
    assert "hunter2" not in redacted(text)
    assert "***" in redacted(text)


def test_ordinary_messages_are_left_alone() -> None:
    """Words that only sound like secrets stay readable."""
    text = "secrets and tokens: 14 objects, step create-backup took 3.2 s (http://127.0.0.1:5380/jobs)"
    assert redacted(text) == text


def test_json_lines_carry_the_jobs_context(capsys: pytest.CaptureFixture[str]) -> None:
    """So that one job's lines can be picked out."""
    configure("INFO", "json")
    with bound(job_id="j1", instance="demo"), bound(step="create-backup"):
        logging.getLogger("app.test").info("made %s", "it", extra={"action": "made"})
    line = json.loads(capsys.readouterr().err)
    assert {key: line[key] for key in ("message", "action", "job_id", "instance", "step")} == {
        "message": "made it",
        "action": "made",
        "job_id": "j1",
        "instance": "demo",
        "step": "create-backup",
    }


def test_a_traceback_is_redacted_too(capsys: pytest.CaptureFixture[str]) -> None:
    """An exception may carry what a message would not."""
    configure("INFO", "text")
    try:
        int("token=hunter2")
    except ValueError:
        logging.getLogger("app.test").exception("it broke")
    printed = capsys.readouterr().err
    assert "ValueError" in printed
    assert "hunter2" not in printed
