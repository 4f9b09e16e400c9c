"""``config.json``: this service's record of one instance. It travels with the instance and holds no secret."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

#: The name of a namespace, or a pattern with ``*`` and ``?``.
NamespacePattern = Annotated[str, Field(max_length=63, pattern=r"^[a-z0-9*?]([-a-z0-9*?]*[a-z0-9*?])?$")]
Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Policy(BaseModel):
    """What the user decided for this instance; None means the service's setting."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, serialize_by_alias=True)

    use_velero_backup: bool | None = Field(default=None, description="Whether stops back up and starts restore.")
    keep_last: int | None = Field(default=None, ge=1, le=1000, description="Proven full backups kept.")
    validate_level: Literal["deep", "quick"] | None = Field(
        default=None,
        alias="validate",
        description="How the backups of this instance are checked. `quick` only looks, and proves nothing.",
    )
    on_partial: Literal["fail", "accept"] | None = Field(
        default=None, description="What a backup means that Velero ends as PartiallyFailed. `accept` proves nothing."
    )
    exclude_namespaces: list[NamespacePattern] | None = Field(
        default=None, max_length=100, description="Namespaces no backup of this instance takes; `*` and `?` are globs."
    )
    volumes: Literal["warn", "refuse", "file-system"] | None = Field(
        default=None, description="What a backup does about volumes of pods."
    )
    encryption: Literal["none", "at-rest"] | None = Field(
        default=None, description="Whether the objects in the bucket are encrypted."
    )
    stack: Literal["on-demand", "resident"] | None = Field(
        default=None, description="Whether Velero and MinIO sleep between jobs."
    )
    rerun_tasks: Literal["keep", "skip"] | None = Field(
        default=None, description="Whether tasks outside of services run once more after a start."
    )
    job_timeout_seconds: Seconds | None = Field(default=None, description="Deadline of a job that asks for none.")
    backup_timeout_seconds: Seconds | None = Field(default=None, description="Of Velero's part of a backup.")
    restore_timeout_seconds: Seconds | None = Field(default=None, description="Of each of a restore's Restores.")
    workloads_timeout_seconds: Seconds | None = Field(
        default=None, description="How long a start waits for restored workloads."
    )


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


class EncryptionRecord(BaseModel):
    """Which key encrypts the backups: its id and a fingerprint, never the key."""

    key_id: str
    fingerprint: str
    whole: bool = False
    """Whether nothing lies in the store that was put there in clear."""


class ExternalRecord(BaseModel):
    """Which part of which external store holds the backups; how to get in is the settings' business."""

    endpoint: str
    bucket: str
    prefix: str

    def __str__(self) -> str:
        """For people: the address of that part."""
        return f"{self.endpoint}/{self.bucket}/{self.prefix}"


class InstanceConfig(BaseModel):
    """The record. Keys this version does not know are kept as they are."""

    model_config = ConfigDict(extra="allow", serialize_by_alias=True)

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
    volumes_maintained_at: datetime | None = None
    """When the repositories of volumes were last cleaned; written first by the first backup of volumes."""
    storage: StorageRecord | ExternalRecord | None = None
    """Where the backups lie; what the settings say later does not change it, only ``move-storage`` does."""
    encryption: EncryptionRecord | None = None
    """Set once anything was encrypted; from then on the store cannot do without that key."""
    policy: Policy = Policy()
    migration: MigrationRecord | None = None

    def powered_by_nobody_since(self, off_epoch: str | None) -> bool:
        """Whether this is the ``off_epoch`` of our last power-off; a driver that cannot tell gives no proof of it."""
        return off_epoch is not None and off_epoch == self.off_epoch
