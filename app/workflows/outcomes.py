"""What steps give back and jobs end with: frozen values that survive JSON, so that the journal can return them."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.ports import PowerState
from app.proof.models import Inventory, Proof
from app.velero.scope import Scope
from app.velero.volumes import PodVolume
from app.workflows.requests import NotSaved

#: Flaws of an accepted backup that a job names.
MOST_ACCEPTED = 20


class Outcome(BaseModel):
    """Base of everything here: immutable."""

    model_config = ConfigDict(frozen=True)


class PowerReading(Outcome):
    """What the power driver said at one moment."""

    state: PowerState
    off_epoch: str | None
    detail: str = ""


class Identity(Outcome):
    """Which cluster stands behind an instance: the UID of its kube-system namespace, and our instance id."""

    cluster_uid: str
    instance_id: str
    new_record: bool = False


class Preparation(Outcome):
    """What the preflight decided about a backup's scope."""

    scope: Scope
    not_saved: list[NotSaved]
    volumes: list[PodVolume] = []

    @property
    def saves_volumes(self) -> bool:
        """Whether there is anything for a node-agent to do."""
        return any(volume.protection == "protected" for volume in self.volumes)


class BackupRef(Outcome):
    """A Backup that exists: Velero's name and the UID it got at creation."""

    name: str
    uid: str
    created_at: datetime


class ProofSummary(Outcome):
    """The figures of a proof that a job shows; the whole lies in ``proofs/<backup>/proof.json``."""

    backup: str
    verdict: str
    finished_at: datetime
    seconds: float
    objects_hashed: int
    size_bytes: int
    items_in_inventory: int
    items_in_backup: int
    items_explained: int
    canary: str
    sha256: dict[str, str]
    level: Literal["deep", "quick"] = "deep"
    accepted: list[str] = Field(default=[], description="What an accepted backup lacks, the first twenty of it.")
    volumes_saved: int = 0
    volumes_size_bytes: int = Field(default=0, description="Bytes of the files of all saved volumes.")
    volumes_uploaded_bytes: int = Field(default=0, description="Of these, what earlier backups had not stored yet.")

    @classmethod
    def of(cls, proof: Proof) -> "ProofSummary":
        """The summary of a whole proof."""
        return cls(
            backup=proof.backup,
            verdict=proof.verdict,
            finished_at=proof.finished_at,
            seconds=(proof.finished_at - proof.started_at).total_seconds(),
            objects_hashed=len(proof.objects),
            size_bytes=proof.size_bytes,
            items_in_inventory=proof.items_in_inventory,
            items_in_backup=proof.items_in_backup,
            items_explained=proof.items_explained,
            canary=proof.canary.status,
            sha256={stored.key.rsplit("/", 1)[-1]: stored.sha256 for stored in proof.objects},
            level=proof.level,
            accepted=[finding.detail for finding in proof.findings[:MOST_ACCEPTED]],
            volumes_saved=sum(volume.protection == "protected" for volume in proof.volumes),
            volumes_size_bytes=sum(volume.size_bytes or 0 for volume in proof.volumes),
            volumes_uploaded_bytes=sum(volume.uploaded_bytes or 0 for volume in proof.volumes),
        )


class VeleroChoice(Outcome):
    """Whether Velero is used, and by whose word; ``asked`` is false where only the rollout's stage decides."""

    use: bool
    asked: bool
    because: str


class ChangedObject(Outcome):
    """An object that is not as the backup has it: changed between the inventory and the power-off."""

    change: Literal["added", "changed", "deleted"]
    object: str


class ProvenBackup(Outcome):
    """A backup that was proven, or looked at and accepted, with the inventory its proof was held against."""

    ref: BackupRef
    try_number: int
    scope: Scope
    inventory: Inventory
    proof: ProofSummary
    not_saved: list[NotSaved]
    volumes: list[PodVolume] = []

    @property
    def unprotected_because(self) -> str:
        """Why this backup does not stand for the instance; empty if it does."""
        if not self.scope.full:
            return "the backup holds only the part of the instance that was asked for"
        if self.proof.verdict == "proven":
            return ""
        if self.proof.accepted:
            return f"the backup ended as PartiallyFailed and was accepted all the same: {self.proof.accepted[0]}"
        return "the backup was only looked at (validate: quick), not proven"


class StopResult(Outcome):
    """How a stop ended; ``protected`` says whether a proven backup holds the state that was switched off."""

    noop: bool = False
    protected: bool
    backup: str | None = None
    proof: ProofSummary | None = None
    changed_since_backup: list[ChangedObject] = []
    not_saved: list[NotSaved] = []
    volumes: list[PodVolume] = Field(default=[], description="Every volume of running pods and what became of it.")
    pruned: list[str] = []
    state_copy: str | None = Field(default=None, description="The copy of KECS's own store that was made, or stands.")
    power_off: str | None = None
    reason: str = ""


class BackupResult(Outcome):
    """How a backup job ended."""

    backup: str
    scope: Literal["full", "partial"]
    proof: ProofSummary
    not_saved: list[NotSaved]
    volumes: list[PodVolume] = Field(default=[], description="Every volume of running pods and what became of it.")
    pruned: list[str]


Action = Literal["record", "noop", "survived", "repair", "restore", "selective", "nothing-to-restore", "power-on-only"]


class Decision(Outcome):
    """What a start does about the state of the cluster it found, and why."""

    action: Action
    backup: str | None = None
    reason: str
    outstanding: bool = False


class DifferingObject(Outcome):
    """An object that came back with other fields than the backup has; Secret values are masked."""

    object: str
    fields: list[dict[str, Any]]


class NotRestorable(Outcome):
    """An object of the backup that no restore brings back, by its nature."""

    object: str
    reason: str


class Comparison(Outcome):
    """The cluster held against the backup, object by object."""

    compared: int = 0
    equal: int = 0
    missing: list[str] = []
    differing: list[DifferingObject] = []
    not_restorable: list[NotRestorable] = []
    left_to_controller: int = 0
    ignored: dict[str, int] = {}


class Presence(Outcome):
    """What of a backup's objects is there, by name only: content is compared where something was restored."""

    looked_for: int
    missing: list[str]
    ended_tasks: list[str]


class RestoredWebhooks(Outcome):
    """The last Restore of a full one: whether there was any to make, and the configurations it had to leave out."""

    ran: bool
    created: int
    left_out: list[str]


class RestoredVolume(Outcome):
    """A volume of the backup whose pod was to come back, and what came of its data.

    ``kept``: the cluster survived, and the volume with it.
    """

    namespace: str
    pod: str
    volume: str
    claim: str = ""
    outcome: Literal["restored", "kept", "missing"]
    reason: str = ""
    size_bytes: int


class RestoreOutcome(Outcome):
    """What a restore brought back."""

    backup: str
    restores: list[str] = Field(description="Velero's Restores, in order; empty where nothing was missing.")
    created: int = Field(default=0, description="Objects that Velero made.")
    looked_for: int = Field(default=0, description="Objects a survived cluster was searched for before its repair.")
    comparison: Comparison | None = Field(default=None, description="Null where nothing had to be restored.")
    rerun_tasks: list[str] = []
    tasks_not_run: list[str] = Field(default=[], description="Tasks that ran at the backup and were left ended.")
    duplicate_tasks: list[str] = Field(default=[], description="Pods KECS's own restoration made of the same tasks.")
    volumes: list[RestoredVolume] = Field(default=[], description="Volumes of the backup and what came of their data.")
    overwritten: list[str] = []
    workloads_not_ready: list[str] = []
    webhooks_left_out: list[str] = []
    seconds: float = 0


class KecsRestoration(Outcome):
    """What KECS's own restoration brought back, where no backup could."""

    told_by: Literal["duckdb", "cluster"]
    """``duckdb``: held against a copy of KECS's store. ``cluster``: none can be read; this is only what is there."""
    state_copy: str | None = None
    server_restarted: bool = Field(description="kecs-server ran without its store, so it was restarted with it.")
    brought_back: list[str]
    missing: list[str]
    seconds: float


class StartResult(Outcome):
    """How a start or a restore ended. ``restored`` is None when nothing had to come back."""

    noop: bool
    action: Action
    reason: str
    backup: str | None = None
    restored: RestoreOutcome | None = None
    kecs_restored: KecsRestoration | None = None
    restore_outstanding: str | None = None
    other_backups: list[str] = []
