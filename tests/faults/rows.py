"""One row of the fault matrix: where something goes wrong and how, what was asked for, and how that must end."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.product import Product

Place = Literal["API server", "object store", "Velero", "power driver", "host"]
Operation = Literal["backup", "stop", "start", "restore", "validate"]
#: Something that a test does to the world around the operation, and undoes.
Around = Callable[[Product], AbstractAsyncContextManager[None]]

#: How long the service waits, so that a row takes seconds. Nothing that a good run on a slow machine could meet.
PATIENT = {"WORKFLOW__RETRY_TIMEOUT_SECONDS": "2", "WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1"}
#: One backup is kept, and little time to delete the others.
PRUNING = PATIENT | {"WORKFLOW__PRUNE_TIMEOUT_SECONDS": "1", "WORKFLOW__KEEP_LAST": "1"}
#: For rows that wait for such a deadline; a good run would not keep within it for certain.
HURRIED = PATIENT | {
    "WORKFLOW__BACKUP_TIMEOUT_SECONDS": "2",
    "WORKFLOW__RESTORE_TIMEOUT_SECONDS": "2",
    "WORKFLOW__POWER_TIMEOUT_SECONDS": "2",
    "WORKFLOW__API_TIMEOUT_SECONDS": "2",
}
#: For rows in which the stack does not come up.
NO_WAKE = HURRIED | {"STACK__WAKE_TIMEOUT_SECONDS": "4"}
FULL_DISK = NO_WAKE | {"STACK__MIN_FREE_BYTES": str(10**18)}


@dataclass(frozen=True)
class Fault:
    """A row. ``ends`` is the job's status, or ``refused`` where no job was made; with ``code`` of its problem."""

    place: Place
    what: str
    """In the words of a user's guide; unique."""
    switches: Mapping[str, Any] = field(default_factory=dict)
    """For ``set_faults``."""
    around: Around | None = None
    operation: Operation = "backup"
    options: Mapping[str, Any] = field(default_factory=dict)
    """The request's body."""
    settings: Mapping[str, str] = field(default_factory=lambda: PATIENT)
    ends: Literal["succeeded", "failed", "refused"] = "succeeded"
    code: str = ""
    warnings: tuple[str, ...] = ()
    says: str = ""
    """Stands somewhere in the ended job or the refusal."""
    cluster: Literal["running", "stopped", "half-off"] = "running"
    outstanding: bool = False
    """Whether a restore is due afterwards."""
    guards: tuple[int, ...] = ()
    """The problems of Velero's users that it shows to be guarded against: keys of ``guards.KNOWN_PROBLEMS``."""
