"""A program that speaks the contract of docs/drivers.md about clusters that are JSON files in a directory.

``power_program.py DIRECTORY VERB [NAME [DRAIN]]``
"""

import json
import sys
from pathlib import Path
from typing import Any

ABSENT = {"state": "absent"}
KUBECONFIG = {"apiVersion": "v1", "kind": "Config", "current-context": "demo"}


def answer(directory: Path, verb: str, name: str = "", drain: str = "") -> Any:
    """The document for standard output; switching leaves a trace of how it was asked."""
    path = directory / f"{name}.json"
    if verb == "list":
        return {"clusters": {path.stem: json.loads(path.read_text()) for path in directory.glob("*.json")}}
    cluster = json.loads(path.read_text()) if path.exists() else ABSENT
    if verb in {"start", "stop"}:
        if cluster is ABSENT:
            sys.exit(f"there is no cluster {name}")
        wanted = "running" if verb == "start" else "stopped"
        if cluster["state"] != wanted:
            epoch = str(int(cluster["off_epoch"]) + 1)
            path.write_text(json.dumps({"state": wanted, "off_epoch": epoch, "detail": f"drain={drain}"}))
        return "switched"
    mounts = [{"node_path": "/node", "host_path": str(directory)}]
    return {"state": cluster, "access": {"kubeconfig": KUBECONFIG}, "mounts": {"mounts": mounts}}[verb]


if __name__ == "__main__":
    json.dump(answer(Path(sys.argv[1]), *sys.argv[2:]), sys.stdout)
