"""The object store: refuses, breaks off, loses and changes what it was given."""

from typing import Any

from tests.faults.rows import NO_WAKE, Fault
from tests.faults.surroundings import foreign_directory, poisoned_backup

ARCHIVE = "/velero/backups/*.tar.gz"
METADATA = "*/velero-backup.json"
CANARY = "/velero/kecs-state-canary"
RESULTS = "*-results.gz"


def store(what: str, how: str, path: str, method: str = "GET", **more: Any) -> Fault:
    """A backup with one rule for the store; what belongs to the rule goes there, the rest to the row."""
    fields = ("times", "seconds", "code", "reason", "message")
    rule = {"how": how, "path": path, "method": method} | {
        key: more.pop(f"s3_{key}") for key in fields if f"s3_{key}" in more
    }
    return Fault("object store", what, {"store": [rule]}, ends="failed" if "code" in more else "succeeded", **more)


ROWS = [
    Fault(
        "object store",
        "somebody else's files in the bucket",
        around=foreign_directory,
        settings=NO_WAKE,
        ends="failed",
        code="stack-not-ready",
        says="invalid top-level directories: [photographs]",
        guards=(5,),
    ),
    Fault("object store", "a backup in the bucket that cannot be read", around=poisoned_backup, guards=(25,)),
    store(
        "403 because a clock is wrong",
        "status",
        "/velero*",
        "*",
        s3_code=403,
        s3_reason="RequestTimeTooSkewed",
        s3_message="The difference between the request time and the server's time is too large.",
        code="stack-not-ready",
        settings=NO_WAKE,
        guards=(26,),
    ),
    store("403 to a download", "status", ARCHIVE, s3_code=403, s3_reason="AccessDenied", code="object-store-error"),
    store("503 for good", "status", ARCHIVE, s3_code=503, s3_reason="SlowDown", code="object-store-unavailable"),
    store("a slow download", "slow", ARCHIVE, s3_seconds=1),
    store("a download that never begins", "hang", ARCHIVE, code="step-timeout", options={"timeout_seconds": 6}),
    store("downloads reset for good", "reset", ARCHIVE, code="object-store-unavailable"),
    store("a download cut off once", "cut", ARCHIVE, s3_times=1),
    store("downloads cut off for good", "cut", ARCHIVE, code="object-store-unavailable"),
    store("half of the archive, said to be all", "short", ARCHIVE, code="proof-failed"),
    store("one bit of the results flipped", "flip", RESULTS, code="proof-failed"),
    store("the archive is not kept though the store said so", "swallow", ARCHIVE, "PUT", code="proof-failed"),
    store("the metadata is not kept though the store said so", "swallow", METADATA, "PUT", code="proof-failed"),
    store("the canary is not kept though the store said so", "swallow", CANARY, "PUT", code="proof-failed"),
    store(
        "uploads refused", "status", ARCHIVE, "PUT", s3_code=507, s3_reason="XMinioStorageFull", code="backup-failed"
    ),
]
