"""Velero: refuses, dies, waits for ever, says Completed of what is not."""

from typing import Any

from tests.faults.rows import HURRIED, Fault
from tests.faults.surroundings import dead_api_service, foreign_backup, rejecting_webhook, terminating_namespace

#: Longer than any deadline of these rows.
LONG = 60


def damaged(what: str, how: str, guards: str = "", **more: Any) -> Fault:
    """A backup that Velero calls Completed."""
    switches = {"velero": {"damage_backup": {"how": how, **more}}}
    return Fault("Velero", what, switches, ends="failed", code="proof-failed", guards=guards)


def backup(
    what: str, code: str = "", *, says: str = "", guards: str = "", settings: Any = None, **velero: Any
) -> Fault:
    """A backup with these switches of Velero."""
    more = {"settings": settings} if settings else {}
    ends: Any = "failed" if code else "succeeded"
    return Fault("Velero", what, {"velero": velero}, ends=ends, code=code, says=says, guards=guards, **more)


OBJECT = {"resource": "configmaps", "namespace": "internal", "name": "registry"}

ROWS = [
    damaged("the archive is noise", "tar-overwritten"),
    damaged("the archive is cut off", "tar-truncated"),
    damaged("one bit of the archive flipped", "tar-bit-flipped"),
    damaged(
        "the archive framed by a client's checksum",
        "tar-framed",
        guards="checksum trailers stored as content (#9804, #9951, #10543)",
    ),
    damaged("the archive is missing", "tar-missing"),
    damaged("the metadata is missing", "metadata-missing"),
    damaged("the metadata says Finalizing", "metadata-finalizing", guards="Completed in the cluster only (#9644)"),
    damaged("the metadata of another backup", "metadata-other"),
    damaged("the results are missing", "object-missing"),
    damaged(
        "one object left out",
        "item-missing",
        guards="namespaces and objects left out in silence (#9180, #9566, #9737)",
        **OBJECT,
    ),
    damaged("one object in an older version", "item-older", **OBJECT),
    backup(
        "PartiallyFailed",
        "backup-failed",
        backup_phase="PartiallyFailed",
        guards="a namespace that vanished makes it PartiallyFailed (#9980)",
    ),
    backup("Failed", "backup-failed", backup_phase="Failed", guards="exit codes and phases confused: judged by phase"),
    backup(
        "FailedValidation",
        "backup-failed",
        refuse="BackupStorageLocation default is in Unavailable status",
        says="Unavailable status",
    ),
    backup("somebody deletes the Backup", "backup-failed", vanish=True),
    backup(
        "Velero killed during the backup",
        "backup-failed",
        crash="backup:InProgress",
        says="during the server starting",
        guards="out of memory, seen as Failed after a restart (#3851, #5753, #7568); restarts fail running work (#7230)",
    ),
    backup("Velero killed during the upload", "backup-failed", crash="backup:Uploading"),
    backup(
        "Velero killed with the backup ReadyToStart",
        crash="backup:ReadyToStart",
        guards="ReadyToStart for ever after a restart (#10519)",
    ),
    backup("Velero killed while it finalises", crash="backup:Finalizing"),
    backup(
        "Queued for ever",
        "step-timeout",
        slow={"backup:Queued": LONG},
        settings=HURRIED,
        guards="the queue stuck for ever (#10519, #9493)",
    ),
    backup("InProgress for ever", "step-timeout", slow={"backup:InProgress": LONG}, settings=HURRIED),
    backup("Finalizing for ever", "step-timeout", slow={"backup:Finalizing": LONG}, settings=HURRIED),
    backup(
        "the storage location is not available",
        "stack-not-ready",
        unavailable="dial tcp: connection refused",
        says="connection refused",
        settings=HURRIED,
    ),
    backup("Velero ends as soon as it starts", "stack-not-ready", crash="server:Started", settings=HURRIED),
    Fault(
        "Velero",
        "a deletion that hangs",
        {"velero": {"slow": {"deletion:InProgress": LONG}}},
        settings=HURRIED,
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
        ends="failed",
        code="step-timeout",
        settings=HURRIED,
        guards="hooks that block Finalizing for ever (#9744, #9749, #9359)",
    ),
    Fault(
        "Velero",
        "Velero killed during a restore",
        {"velero": {"crash": "restore:InProgress"}},
        operation="restore",
        ends="failed",
        code="restore-failed",
    ),
    Fault(
        "Velero",
        "a namespace that does not end",
        around=terminating_namespace,
        says="stuck",
        guards="Terminating namespaces hold each item up for ten minutes (#5697, #8234, #9988)",
    ),
    Fault(
        "Velero",
        "an API group whose server is dead",
        around=dead_api_service,
        says="v1beta1.metrics.example.com",
        guards="groups that do not answer are left out (#7516)",
    ),
    Fault(
        "Velero",
        "a webhook that rejects Backups",
        around=rejecting_webhook,
        ends="failed",
        code="webhook-rejects-backups",
        guards="webhooks reject what is restored (#2443, #4524, #4847)",
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
