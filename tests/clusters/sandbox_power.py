"""The contract of docs/drivers.md over sandbox clusters: ``sandbox_power.py STATE_DIR VERB [NAME [DRAIN]]``."""

import asyncio
import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

from app.sandbox import supervisor


async def answer(state_dir: Path, verb: str, name: str = "", drain: str = "") -> Any:
    """The document for standard output."""
    match verb:
        case "list":
            found = supervisor.list_clusters(state_dir)
            return {"clusters": {name: dataclasses.asdict(status) for name, status in found.items()}}
        case "state":
            return dataclasses.asdict(supervisor.state(state_dir, name))
        case "start":
            await supervisor.power_on(state_dir, name)
        case "stop":
            await supervisor.power_off(state_dir, name, drain=drain == "true")
        case "access":
            return {"kubeconfig": supervisor.kubeconfig(state_dir, name)}
        case "mounts":
            directory = str(supervisor.host_directory(state_dir, name))
            return {"mounts": [{"node_path": directory, "host_path": directory}]}
    return None


if __name__ == "__main__":
    json.dump(asyncio.run(answer(Path(sys.argv[1]), *sys.argv[2:])), sys.stdout)
