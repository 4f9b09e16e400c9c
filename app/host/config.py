"""``config.json``: this service's record of one instance. It travels with the instance and holds no secret."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Policy(BaseModel):
    """What the user decided for this instance; None means the service's setting."""

    model_config = ConfigDict(extra="allow")

    keep_last: int | None = Field(default=None, ge=1)
    use_velero_backup: bool | None = None
    rerun_tasks: Literal["keep", "skip"] | None = None


class MigrationRecord(BaseModel):
    """That this instance left KECS's own restoration behind, and what its policy said before: the way back."""

    at: datetime
    backup: str
    previous: bool | None
    """``policy.use_velero_backup`` as it was."""


class StorageRecord(BaseModel):
    """Where MinIO's data lies: the path a pod on the node sees, and the same directory on the host."""

    node_path: str
    host_path: str


class InstanceConfig(BaseModel):
    """The record. Keys this version does not know are kept as they are."""

    model_config = ConfigDict(extra="allow")

    version: int = 1
    instance_id: str
    created_at: datetime
    cluster_uid: str | None = None
    """UID of the kube-system namespace: which cluster this was last time."""
    off_epoch: str | None = None
    """The power driver's value after our last power-off."""
    stopped_with: str | None = None
    """The proven backup of the stop that turned the cluster off."""
    restore_pending: str | None = None
    """Written before a power-on: what must come back unless the cluster turns out to have survived."""
    restore_pending_epoch: str | None = None
    """The ``off_epoch`` read before that power-on."""
    restore_outstanding: str | None = None
    """A backup whose state is due; until it is restored or given up, nothing is backed up or pruned."""
    outstanding_also_missing: list[str] = []
    """What newer, unusable backups held beyond the outstanding one."""
    storage: StorageRecord | None = None
    policy: Policy = Policy()
    migration: MigrationRecord | None = None

    def powered_by_nobody_since(self, off_epoch: str | None) -> bool:
        """Whether this is the ``off_epoch`` of our last power-off; a driver that cannot tell gives no proof of it."""
        return off_epoch is not None and off_epoch == self.off_epoch
