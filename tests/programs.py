"""What the long programs of these tests share (``python -m tests.chaos`` and the like): an end, and a report."""

import asyncio
import json
import signal
import subprocess
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


def run_to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """The result; ended by SIGTERM, as by Ctrl-C, it ends what it has started first."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    return asyncio.run(work)


def commit() -> str:
    """Of the code that is run."""
    command = ["git", "rev-parse", "--short", "HEAD"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def keep_report(report: dict[str, Any], path: Path) -> None:
    """Write it as JSON, where directories are made as needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(report, indent=2) + "\n")
