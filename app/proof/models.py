"""What a proof is made of: the inventory it is held against, what was found, and the verdict."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict

from app.velero.volumes import PodVolume


class Frozen(BaseModel):
    """Base of nearly everything here: immutable, survives JSON."""

    model_config = ConfigDict(frozen=True)


# No model: it is a key of dictionaries with every object in them, and a model is slow to compare and to hash.
@dataclass(frozen=True, slots=True)
class ObjectKey:
    """Which object: ``deployments.apps``, its namespace ("" for cluster-scoped ones) and its name."""

    resource: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """``deployments.apps shop/web``, as people read it."""
        return f"{self.resource} {self.namespace}/{self.name}" if self.namespace else f"{self.resource} {self.name}"


class InventoryItem(Frozen):
    """One live object when the inventory was taken."""

    key: ObjectKey
    uid: str
    resource_version: str


class Inventory(Frozen):
    """Everything the backup must hold; every list of it ended before the Backup was posted."""

    taken_at: datetime
    items: list[InventoryItem]
    failed_groups: list[str] = []


class StoredDigest(Frozen):
    """One object of the backup in the bucket, as it was read back."""

    key: str
    size: int
    sha256: str


class Finding(Frozen):
    """One reason why a backup is not good."""

    code: Literal[
        "absent",
        "older",
        "phase",
        "identity",
        "metadata",
        "contents",
        "results",
        "volumes",
        "canary",
        "clear",
        "hash",
        "missing",
    ]
    detail: str
    object: ObjectKey | None = None
    """The object of the cluster it is about, if it is about one."""


class CanaryResult(Frozen):
    """Whether bytes put through S3 were found on the host's disk, where, and in what form."""

    status: Literal["found", "not-found", "n/a"]
    path: str = ""
    how: str = ""
    """``object file`` (MinIO's file of that key) or ``volume file``; for ``not-found``, what hindered the search."""
    encrypted: bool = False
    """Whether the file is the canary's and holds its content in another form than it was put in."""


class Proof(BaseModel):
    """A proof with its figures; ``proof.json`` on the host is this document."""

    model_config = ConfigDict(extra="allow")

    backup: str
    backup_uid: str
    instance_id: str
    cluster_uid: str
    scope: Literal["full", "partial"]
    verdict: Literal["proven", "accepted", "failed"]
    """``accepted``: not proven, and the user has said that this may be so (``quick``, or PartiallyFailed)."""
    level: Literal["deep", "quick"] = "deep"
    """``quick``: only names and sizes were looked at, so there are no hashes, and nothing was compared."""
    started_at: datetime
    finished_at: datetime
    objects: list[StoredDigest]
    size_bytes: int
    items_in_inventory: int
    items_in_backup: int
    items_explained: int
    """Items of the inventory that the backup rightly does not hold: they were deleted meanwhile."""
    findings: list[Finding]
    """Empty in a proven one, what was put up with in an accepted one; of very many, the first."""
    findings_total: int = 0
    canary: CanaryResult
    warnings: int = 0
    """Warnings in Velero's results; they never make a backup bad by themselves."""
    not_saved: list[str] = []
    volumes: list[PodVolume] = []
    """Every volume of a running pod and what became of it; saved ones with their bytes."""
