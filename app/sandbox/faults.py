"""Fault switches of a sandbox cluster, read by its emulators each time they matter."""

import json
from pathlib import Path
from typing import Any


def set_faults(cluster_directory: Path, **faults: dict[str, Any]) -> None:
    """Replace all switches, by emulator: ``velero={"backup_phase": "Failed"}``; no argument clears them.

    The switches of each emulator stand in its own ``switches`` module.
    """
    path = cluster_directory / "faults.json"
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(faults))
    temporary.replace(path)
