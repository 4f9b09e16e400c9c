"""The whole product on clusters that only commands can switch."""

import json
import sys
from pathlib import Path

from app.sandbox import supervisor
from app.sandbox.seed import seed
from tests.clusters import sandbox_power
from tests.service import CONFIGURED, RunningService

NAME = "demo"


def variables(state_dir: Path) -> dict[str, str]:
    """The six templates, as a user would set them."""
    program = [sys.executable, sandbox_power.__file__, str(state_dir)]
    templates = {verb: [*program, verb, "{name}"] for verb in ("state", "start", "access", "mounts")}
    templates |= {"list": [*program, "list"], "stop": [*program, "stop", "{name}", "{drain}"]}
    return {"DRIVER": "command"} | {f"COMMAND__{verb.upper()}": json.dumps(argv) for verb, argv in templates.items()}


async def test_stop_and_start_through_commands(tmp_path: Path) -> None:
    """A stop with its proof, a power-off, a start that finds the cluster as it was."""
    await supervisor.create(tmp_path, NAME)
    service = RunningService(tmp_path, variables(tmp_path), CONFIGURED)
    try:
        await seed(tmp_path, NAME)
        await service.start()
        stopped = await service.run(f"/instances/{NAME}/stop")
        assert (stopped["status"], stopped["result"]["protected"]) == ("succeeded", True)
        assert supervisor.state(tmp_path, NAME).state == "stopped"
        started = await service.run(f"/instances/{NAME}/start")
        assert (started["status"], started["result"]["action"]) == ("succeeded", "repair")
        assert supervisor.state(tmp_path, NAME).state == "running"
    finally:
        await service.close()
        await supervisor.delete(tmp_path, NAME)
