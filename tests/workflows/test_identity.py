"""Deciding what a start has to do, where the power driver's word is what decides."""

from datetime import UTC, datetime

import pytest

from app.host.config import InstanceConfig
from app.workflows.identity import decide
from app.workflows.requests import RestoreOptions

BACKUP = "stop-backup-demo-20260101000000"


@pytest.mark.parametrize(
    ("recorded", "read", "action"),
    [("7", "7", "repair"), ("7", "8", "survived"), (None, None, "survived"), ("7", None, "survived")],
)
def test_only_a_driver_that_can_tell_lets_a_survivor_be_repaired(
    recorded: str | None, read: str | None, action: str
) -> None:
    """Two values that say nothing are not the same value: somebody may have had the cluster on since."""
    config = InstanceConfig(
        instance_id="i", created_at=datetime.now(UTC), cluster_uid="uid", off_epoch=recorded, stopped_with=BACKUP,
        restore_pending=BACKUP, restore_pending_epoch=read,
    )  # fmt: skip
    assert decide(config, "uid", BACKUP, RestoreOptions()).action == action
