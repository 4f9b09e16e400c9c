"""The fault switches that concern Velero, read from the cluster's faults file each time they matter.

The file's member ``velero`` may hold::

    {"damage_backup":  {"how": "tar-truncated", "backup": "*", "object": "results.gz",
                        "resource": "configmaps", "namespace": "shop", "name": "cart"},
     "backup_phase":   "PartiallyFailed" | "Failed",
     "fail_restore":   ["*"] | ["configmaps/shop/cart", "clusterroles.rbac.authorization.k8s.io/reader"],
     "change_restored": {"resource": "configmaps", "namespace": "shop", "name": "cart",
                         "path": ["data", "total"], "value": "0"},
     "refuse": "the reason of a backup's failed validation",
     "vanish": true,
     "unavailable": "the message of every storage location",
     "slow":  {"backup:InProgress": 2.0},
     "crash": "restore:InProgress",
     "crash_once": "backup:ReadyToStart"}

``slow``, ``crash`` and ``crash_once`` name a point as ``<backup|restore|deletion>:<phase>``; ``Uploading`` is a point
of a backup too, ``server:Started`` one of the process.
``vanish``: somebody deletes each Backup as soon as it runs.
"""

import asyncio
import json
import logging
import os
import signal
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from app.sandbox.faults import drop_fault, read_faults
from app.sandbox.objects import Object
from app.sandbox.velero.archive import ArchiveKey

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Damage:
    """What is to be done to a backup; ``how`` is one of the names in ``damage.py``."""

    how: str
    object_suffix: str
    key: ArchiveKey


class Switches:
    """Without a file, or with an unreadable one, nothing is switched on."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def _read(self) -> dict[str, Any]:
        return read_faults(self._path, "velero") or {}

    async def reached(self, work: str, phase: str, name: str) -> None:
        """A named point of a backup, restore or deletion: the place to be slow at, or to die at."""
        point = f"{work}:{phase}"
        switches = self._read()
        seconds = float((switches.get("slow") or {}).get(point, 0))
        if seconds:
            log.warning("fault switch: %s %s waits %s s", point, name, seconds)
            await asyncio.sleep(seconds)
        if point in {switches.get("crash"), switches.get("crash_once")}:
            log.warning("fault switch: crash at %s of %s", point, name)
            if self._path is not None:
                drop_fault(self._path, "velero", "crash_once")
            os.kill(os.getpid(), signal.SIGKILL)

    def validation_errors(self) -> list[str]:
        """Why a backup fails its validation, beside the reasons it has."""
        reason = self._read().get("refuse")
        return [reason] if reason else []

    def vanishes(self) -> bool:
        """Whether a backup that runs is deleted."""
        return bool(self._read().get("vanish"))

    def location_problem(self) -> str:
        """Why no location can be used, "" if they can."""
        return str(self._read().get("unavailable") or "")

    def backup_phase(self, name: str) -> str | None:
        """The phase a backup is to end with instead of its own."""
        phase: str | None = self._read().get("backup_phase")
        if phase:
            log.warning("fault switch: backup %s ends %s", name, phase)
        return phase

    def damage(self, backup: str) -> Damage | None:
        wanted = self._read().get("damage_backup")
        if not wanted or not fnmatchcase(backup, wanted.get("backup", "*")):
            return None
        key = ArchiveKey(wanted.get("resource", ""), wanted.get("namespace", ""), wanted.get("name", ""))
        return Damage(wanted["how"], wanted.get("object", "results.gz"), key)

    def restore_faults(self) -> "RestoreFaults":
        """Read once per restore: they are asked for every object."""
        switches = self._read()
        return RestoreFaults(frozenset(switches.get("fail_restore") or ()), switches.get("change_restored") or {})


@dataclass(frozen=True)
class RestoreFaults:
    refused: frozenset[str]
    change: Object

    def refuses(self, key: ArchiveKey) -> bool:
        path = "/".join(part for part in key if part)
        return bool(self.refused & {"*", path})

    def changed(self, key: ArchiveKey, obj: Object) -> Object:
        """The object as it is to be created: with one field changed if the switch names it."""
        if not self.change or key != (self.change["resource"], self.change.get("namespace", ""), self.change["name"]):
            return obj
        copy: Object = json.loads(json.dumps(obj))
        target = copy
        *parents, last = self.change["path"]
        for step in parents:
            target = target[step] if isinstance(target, list) else target.setdefault(step, {})
        target[last] = self.change["value"]
        return copy
