"""Velero: refuses, dies, waits for ever, says Completed of what is not."""

from typing import Any

from tests.faults.rows import HURRIED, NO_WAKE, PRUNING, Fault
from tests.faults.surroundings import dead_api_service, foreign_backup, rejecting_webhook, terminating_namespace

#: Longer than any deadline of these rows.
LONG = 60


def damaged(what: str, how: str, guards: tuple[int, ...] = (), says: str = "", **more: Any) -> Fault:
    """A backup that Velero calls Completed."""
    switches = {"velero": {"damage_backup": {"how": how, **more}}}
    return Fault("Velero", what, switches, ends="failed", code="proof-failed", says=says, guards=guards)


def backup(what: str, code: str = "", *, row: dict[str, Any] | None = None, **velero: Any) -> Fault:
    """A backup with these switches of Velero; ``row`` is what else the row says."""
    return Fault("Velero", what, {"velero": velero}, ends="failed" if code else "succeeded", code=code, **(row or {}))


OBJECT: dict[str, Any] = {"resource": "configmaps", "namespace": "internal", "name": "registry"}
NAMED = "configmaps internal/registry"

ROWS = [
    damaged("the archive is noise", "tar-overwritten"),
    damaged("the archive is cut off", "tar-truncated"),
    damaged("one bit of the archive flipped", "tar-bit-flipped"),
    damaged(
        "the archive framed by a client's checksum",
        "tar-framed",
        guards=(8,),
    ),
    damaged("the archive is missing", "tar-missing"),
    damaged("the metadata is missing", "metadata-missing"),
    damaged("the metadata says Finalizing", "metadata-finalizing", guards=(3,)),
    damaged("the metadata of another backup", "metadata-other"),
    damaged("the results are missing", "object-missing"),
    damaged(
        "one object left out",
        "item-missing",
        guards=(17,),
        says=NAMED,
        **OBJECT,
    ),
    damaged("one object in an older version", "item-older", says=NAMED, **OBJECT),
    backup("PartiallyFailed", "backup-failed", backup_phase="PartiallyFailed", row={"guards": (18,)}),
    backup("Failed", "backup-failed", backup_phase="Failed", row={"guards": (16,)}),
    backup(
        "FailedValidation",
        "backup-failed",
        refuse="BackupStorageLocation default is in Unavailable status",
        row={"says": "Unavailable status"},
    ),
    backup("somebody deletes the Backup", "backup-failed", vanish=True),
    backup(
        "Velero killed during the backup",
        crash_once="backup:InProgress",
        row={
            "says": "Velero was restarted while it made backup",
            "warnings": ("backup-made-again",),
            "guards": (6, 28),
        },
    ),
    backup("Velero killed with the backup ReadyToStart", crash_once="backup:ReadyToStart", row={"guards": (1,)}),
    backup("Velero killed while it finalises", crash_once="backup:Finalizing"),
    backup("Queued for ever", "step-timeout", slow={"backup:Queued": LONG}, row={"guards": (1,), "settings": HURRIED}),
    backup("InProgress for ever", "step-timeout", slow={"backup:InProgress": LONG}, row={"settings": HURRIED}),
    backup(
        "the storage location is not available",
        "stack-not-ready",
        unavailable="dial tcp: connection refused",
        row={"settings": NO_WAKE},
    ),
    backup("Velero ends as soon as it starts", "stack-not-ready", crash="server:Started", row={"settings": NO_WAKE}),
    Fault(
        "Velero",
        "a deletion that hangs",
        {"velero": {"slow": {"deletion:InProgress": LONG}}},
        settings=PRUNING,
        warnings=("prune-backups-failed",),
    ),
    Fault(
        "Velero",
        "the archive is noise, at a stop",
        {"velero": {"damage_backup": {"how": "tar-overwritten"}}},
        operation="stop",
        ends="failed",
        code="proof-failed",
    ),
    Fault(
        "Velero",
        "Failed, at a stop that may go without",
        {"velero": {"backup_phase": "Failed"}},
        operation="stop",
        options={"backup": {"mode": "best_effort"}},
        warnings=("unprotected",),
        cluster="stopped",
    ),
    Fault(
        "Velero",
        "a restore that hangs in its hooks",
        {"velero": {"slow": {"restore:Finalizing": LONG}}},
        operation="restore",
        warnings=("restore-failed",),
        says="step-timeout",
        settings=HURRIED,
        guards=(4,),
    ),
    Fault(
        "Velero",
        "Velero killed during a restore",
        {"velero": {"crash_once": "restore:InProgress"}},
        operation="restore",
        warnings=("restore-failed",),
    ),
    Fault(
        "Velero",
        "a namespace that does not end",
        around=terminating_namespace,
        says="stuck",
        guards=(12,),
    ),
    Fault(
        "Velero",
        "an API group whose server is dead",
        around=dead_api_service,
        says="v1beta1.metrics.example.com",
        guards=(23,),
    ),
    Fault(
        "Velero",
        "a webhook that rejects Backups",
        around=rejecting_webhook,
        ends="failed",
        code="webhook-rejects-backups",
        guards=(11,),
    ),
    Fault(
        "Velero",
        "somebody else's Backup waits",
        around=foreign_backup,
        ends="failed",
        code="foreign-work-in-progress",
        says="theirs",
    ),
]
