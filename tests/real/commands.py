"""The settings with which the service's power driver ``command`` switches real clusters."""

import sys
from pathlib import Path

from app.settings import CommandSettings

_PROJECT = Path(__file__).parents[2]


def command_settings() -> CommandSettings:
    """Six commands that speak the contract of docs/drivers.md, whatever the directory they are started in."""
    program = ["env", f"PYTHONPATH={_PROJECT}", sys.executable, "-m", "tests.real"]
    return CommandSettings(
        list=[*program, "list"],
        state=[*program, "state", "{name}"],
        start=[*program, "start", "{name}"],
        stop=[*program, "stop", "{name}", "--drain={drain}"],
        access=[*program, "access", "{name}"],
        mounts=[*program, "mounts", "{name}"],
    )
