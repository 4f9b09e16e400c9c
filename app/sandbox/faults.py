"""Fault switches of a sandbox cluster, read by its emulators each time they matter."""

import json
import logging
from collections import Counter
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

FILE = "faults.json"
FOR_EVER = 3600.0
log = logging.getLogger(__name__)


def set_faults(cluster_directory: Path, **faults: Any) -> None:
    """Replace all switches, by emulator: ``velero={"backup_phase": "Failed"}``; no argument clears them.

    ``velero``: see ``velero/switches.py``. ``api`` and ``store``: lists of rules, see ``Rule``; what each can do to a
    request stands in ``kubeapi/broken.py`` and ``storeproxy.py``. ``power``: see ``supervisor.py``.
    """
    path = cluster_directory / FILE
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(faults))
    temporary.replace(path)


def read_faults(path: Path | None, emulator: str) -> Any:
    """What is switched on for one emulator; None without a file, or with an unreadable one."""
    if path is None:
        return None
    try:
        return json.loads(path.read_text(encoding="utf-8")).get(emulator)
    except (OSError, ValueError):
        return None


def drop_fault(path: Path, emulator: str, switch: str) -> None:
    """Switch one thing off that is to happen once."""
    faults = json.loads(path.read_text(encoding="utf-8"))
    faults[emulator].pop(switch, None)
    set_faults(path.parent, **faults)


@dataclass(frozen=True)
class Rule:
    """Which requests of a server go wrong, and how; ``method`` and ``path`` are patterns with ``*``."""

    how: str
    method: str = "*"
    """``WATCH`` is a GET that watches."""
    path: str = "*"
    times: int | None = None
    """How many requests it meets; None is all of them."""
    seconds: float = FOR_EVER
    code: int = 500
    reason: str = "InternalError"
    message: str = "asked for by a fault switch"


class Rules:
    """The rules of one server; each counts what it has met since the file was written."""

    def __init__(self, path: Path | None, emulator: str) -> None:
        self._path = path
        self._emulator = emulator
        self._stamp: tuple[int, int] | None = None
        self._rules: list[Rule] = []
        self._met: Counter[int] = Counter()

    def meet(self, method: str, path: str) -> Rule | None:
        """The first rule that this request falls under, which has met it now."""
        self._refresh()
        for number, rule in enumerate(self._rules):
            spent = rule.times is not None and self._met[number] >= rule.times
            if not spent and fnmatchcase(method, rule.method) and fnmatchcase(path, rule.path):
                self._met[number] += 1
                log.warning("fault switch: %s %s: %s", method, path, rule.how)
                return rule
        return None

    def _refresh(self) -> None:
        try:
            status = self._path.stat() if self._path is not None else None
        except OSError:
            status = None
        stamp = (status.st_ino, status.st_mtime_ns) if status is not None else None
        if stamp != self._stamp:
            self._stamp = stamp
            self._rules = [Rule(**each) for each in read_faults(self._path, self._emulator) or ()]
            self._met.clear()
