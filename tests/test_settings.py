"""Settings as the environment gives them."""

import json

import pytest
from pydantic import ValidationError

from app.settings import Settings

VERBS = ("list", "state", "start", "stop", "access", "mounts")


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The driver ``command`` with all it needs."""
    variables = {f"KECS_STATE_COMMAND__{verb.upper()}": json.dumps(["power", verb, "{name}"]) for verb in VERBS}
    variables["KECS_STATE_DRIVER"] = "command"
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.mark.usefixtures("variables")
def test_commands_and_deadlines_are_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lists of arguments as JSON, seconds as numbers."""
    monkeypatch.setenv("KECS_STATE_COMMAND__START_SECONDS", "300")
    command = Settings().command
    assert command is not None
    assert (command.stop, command.start_seconds) == (["power", "stop", "{name}"], 300)


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("verb", VERBS)
def test_each_of_the_six_commands_is_needed(monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    """The problem names the one that is missing."""
    monkeypatch.delenv(f"KECS_STATE_COMMAND__{verb.upper()}")
    with pytest.raises(ValidationError, match=rf"command\.{verb}"):
        Settings()


@pytest.mark.usefixtures("variables")
@pytest.mark.parametrize("value", ["[]", '["power", "state"]'])
def test_a_command_without_arguments_or_name_is_refused(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    """It could not be run, or would mean one instance for all."""
    monkeypatch.setenv("KECS_STATE_COMMAND__STATE", value)
    with pytest.raises(ValidationError, match=r"command\.state"):
        Settings()


def test_the_driver_command_needs_its_commands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Said when the service begins, not at the first stop."""
    monkeypatch.setenv("KECS_STATE_DRIVER", "command")
    with pytest.raises(ValidationError, match="six commands"):
        Settings()


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        # The backup just proven would be the first to go.
        ("WORKFLOW__KEEP_LAST", "0"),
        ("WORKFLOW__MAX_BACKUP_TRIES", "0"),
        ("WORKFLOW__PROOF_MAX_AGE_SECONDS", "0"),
        ("WORKFLOW__JOB_TIMEOUT_SECONDS", "-1"),
        ("WORKFLOW__POWER_TIMEOUT_SECONDS", "inf"),
        ("WORKFLOW__BACKUP_TIMEOUT_SECONDS", "nan"),
        ("STACK__MIN_FREE_BYTES", "-1"),
        ("SERVER__PORT", "70000"),
        ("LOG_LEVEL", "loud"),
    ],
)
def test_a_value_that_would_be_no_rule_is_refused(monkeypatch: pytest.MonkeyPatch, variable: str, value: str) -> None:
    """At the beginning and by name, instead of by a job that goes wrong later."""
    monkeypatch.setenv(f"KECS_STATE_{variable}", value)
    with pytest.raises(ValidationError, match=variable.lower().replace("__", r"\.")):
        Settings()


def test_levels_of_the_log_are_words_in_any_case(monkeypatch: pytest.MonkeyPatch) -> None:
    """As people write them."""
    monkeypatch.setenv("KECS_STATE_LOG_LEVEL", "debug")
    assert Settings().log_level == "DEBUG"
