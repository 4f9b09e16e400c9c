"""What a caller may ask of an operation; every field optional, so that an empty POST works.

Unknown fields are refused (422), and a field that belongs to the API but is not built yet is refused with
``not-supported`` by the route, never ignored.
"""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.host.config import Policy
from app.ports import PowerState
from app.velero.volumes import PodVolume

RerunTasks = Literal["keep", "skip"]
NamePattern = Annotated[str, Field(min_length=1, max_length=253)]


class StrictModel(BaseModel):
    """Refuses fields it does not know."""

    model_config = ConfigDict(extra="forbid")


class ScopeOptions(StrictModel):
    """Narrows a backup; any of these makes it ``partial``: kept apart, never chosen by itself."""

    include_namespaces: list[NamePattern] = Field(default=[], description="Namespaces to take; empty means all.")
    exclude_namespaces: list[NamePattern] = Field(default=[], description="Namespaces to leave out.")
    resources: list[NamePattern] = Field(
        default=[], description="Resources to take, as `plural` or `plural.group`; empty means all."
    )
    selector: str = Field(default="", description="Label selector with `key=value` terms.", examples=["app=web"])
    include_volumes: bool | None = Field(
        default=None,
        description="Save the volumes of running pods file by file. Null leaves it to the instance's policy, then to "
        "the setting; `false` leaves them out and only names them.",
    )

    @property
    def narrow(self) -> bool:
        """Whether anything is left out, so that the backup is ``partial``."""
        return bool(self.include_namespaces or self.exclude_namespaces or self.resources or self.selector)


class BackupOptions(ScopeOptions):
    """A backup: what it takes, and how it is checked."""

    validate_level: Literal["deep", "quick"] | None = Field(
        default=None,
        alias="validate",
        description="How the backup is checked; null leaves it to the instance's policy, then to the setting. `quick` "
        "looks at names and sizes only: the backup is `accepted`, never `proven`, and a stop with it `unprotected`.",
    )
    on_partial: Literal["fail", "accept"] | None = Field(
        default=None,
        description="What a backup means that Velero ends as PartiallyFailed; null as above. `accept`: if nothing else "
        "is wrong with it, it is `accepted`, never `proven`, and a stop with it `unprotected`.",
    )

    @property
    def gate_wish(self) -> Policy:
        """What the request says of how its backup is checked, in the words of a policy."""
        return Policy(validate=self.validate_level, on_partial=self.on_partial)


class StopBackupOptions(BackupOptions):
    """The backup a stop makes before it powers off."""

    mode: Literal["required", "best_effort", "skip"] = Field(
        default="required",
        description="`required`: no power-off without a proof. `best_effort`: if the proof fails, or the backup is "
        "narrowed, power off and say `unprotected`. `skip`: no backup at all.",
    )

    @model_validator(mode="after")
    def _only_a_whole_backup_protects(self) -> Self:
        if self.narrow and self.mode != "best_effort":
            raise ValueError(
                "a narrowed backup does not hold the whole instance: leave the narrowing out, or say best_effort "
                "to power off unprotected with a partial backup"
            )
        return self


class JobOptions(StrictModel):
    """What every operation takes."""

    timeout_seconds: float | None = Field(default=None, gt=0, le=86_400, description="Deadline of the whole job.")
    labels: dict[str, Annotated[str, Field(max_length=256)]] = Field(
        default={}, max_length=32, description="Kept with the job and given back."
    )
    callback_url: str | None = Field(
        default=None,
        max_length=2048,
        description="Receives every event of this job, as a webhook does; signed with the service's own secret.",
        examples=["http://127.0.0.1:8080/kecs"],
    )


class StopRequest(JobOptions):
    """Body of ``POST /instances/{name}/stop``."""

    use_velero_backup: bool | None = Field(
        default=None,
        description="Whether to back up at all; null leaves it to the instance's policy, then to the service's flag, "
        "then to the rollout's stage. `false` powers off `unprotected`.",
    )
    backup: StopBackupOptions = StopBackupOptions()

    @property
    def velero_wish(self) -> bool | None:
        """What the request says about using Velero; asking for anything of a backup asks for one."""
        return True if self.backup.model_fields_set else self.use_velero_backup

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.use_velero_backup is False and self.backup.model_fields_set:
            raise ValueError("use_velero_backup: false makes no backup, so leave `backup` out")
        if self.use_velero_backup and self.backup.mode == "skip":
            raise ValueError("use_velero_backup: true and backup.mode: skip contradict each other")
        return self


class RestoreOptions(StrictModel):
    """What a start brings back."""

    mode: Literal["auto", "always", "never"] = Field(
        default="auto",
        description="`auto`: decide by the cluster's identity. `always`: restore even into a cluster that survived. "
        "`never`: only power on.",
    )
    backup_id: NamePattern | None = Field(default=None, description="This backup instead of the newest proven one.")
    namespaces: list[NamePattern] = Field(default=[], description="Only these namespaces (a selective restore).")
    resources: list[NamePattern] = Field(default=[], description="Only these resources (a selective restore).")
    selector: str = Field(default="", description="Only objects with these labels (a selective restore).")
    existing_resource_policy: Literal["none", "update"] = Field(
        default="none", description="What happens to objects that exist already."
    )
    required: bool = Field(default=False, description="Let the job fail when the restore does.")
    rerun_tasks: RerunTasks | None = Field(
        default=None,
        description="Tasks outside of services that ran when the backup was made: `keep` runs them once more, `skip` "
        "leaves them out. Null leaves it to the instance's policy, then to the setting.",
    )

    @property
    def selective(self) -> bool:
        """Whether only a part is asked for."""
        return bool(self.namespaces or self.resources or self.selector)


class StartRequest(JobOptions):
    """Body of ``POST /instances/{name}/start``."""

    use_velero_backup: bool | None = Field(
        default=None,
        description="Whether to bring anything back; null leaves it to the instance's policy, then to the service's "
        "flag; if they say nothing, what a stop has proven is brought back. `false` only powers on.",
    )
    restore: RestoreOptions = RestoreOptions()

    @property
    def velero_wish(self) -> bool | None:
        """What the request says about using Velero; asking for anything of a restore asks for one."""
        return True if self.restore.model_fields_set else self.use_velero_backup

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if self.use_velero_backup is False and self.restore.model_fields_set:
            raise ValueError("use_velero_backup: false brings nothing back, so leave `restore` out")
        if self.use_velero_backup and self.restore.mode == "never":
            raise ValueError("use_velero_backup: true and restore.mode: never contradict each other")
        return self


class BackupRequest(JobOptions):
    """Body of ``POST /instances/{name}/backups``."""

    backup: BackupOptions = BackupOptions()


class ValidateRequest(JobOptions):
    """Body of ``POST /instances/{name}/backups/{backup_id}/validate``."""

    level: Literal["quick", "deep"] = Field(
        default="deep",
        description="`quick`: every object is there in its size. `deep`: every byte is read and held against the "
        "proof's hashes.",
    )


class ValidateJob(ValidateRequest):
    """What a job of that type is kept with."""

    backup: str


class DeleteBackupJob(JobOptions):
    """What a job that deletes a backup is kept with."""

    backup: str
    force: bool = False


class RestoreRequest(JobOptions):
    """Body of ``POST /instances/{name}/restores``."""

    restore: RestoreOptions = RestoreOptions(mode="always")


class MigrateRequest(JobOptions):
    """Body of ``POST /instances/{name}/migration``."""

    accept_missing: bool = Field(
        default=False, description="Switch even if KECS tells of something that the new backup does not hold."
    )
    back: bool = Field(
        default=False, description="The way back: the policy becomes what it was. No backup is made or deleted."
    )


class MoveStorageRequest(JobOptions):
    """Body of ``POST /instances/{name}/move-storage``."""

    to: Literal["external", "internal"] = Field(
        default="external",
        description="`external`: the store that the service's settings name. `internal`: MinIO in the cluster, whose "
        "data lies on this host.",
    )


class AcceptRequest(StrictModel):
    """Body of ``POST /instances/{name}/restore-outstanding/accept``."""

    backup: NamePattern | None = Field(
        default=None, description="The outstanding backup's name, as a guard against accepting another one."
    )


class NotSaved(BaseModel):
    """Something a backup will not hold, and why."""

    kind: str = Field(examples=["namespace", "volume", "api-group"])
    name: str
    reason: str


class PreflightCheck(BaseModel):
    """One thing looked at before a stop."""

    name: str = Field(examples=["storage-on-host"])
    outcome: Literal["ok", "refused", "warns", "waits", "unknown"]
    detail: str = ""
    remedy: str = ""
    code: str = ""


class PreflightView(BaseModel):
    """What would be lost if the instance were stopped now; looking changes nothing and wakes nothing."""

    instance_name: str
    state: PowerState
    would_stop: bool = Field(description="Whether a stop would go ahead.")
    checks: list[PreflightCheck]
    not_saved: list[NotSaved]
    volumes: list[PodVolume] = Field(description="Every volume of running pods and what would become of it.")
    objects: int | None = Field(description="Objects a backup would take now; null while the cluster is off.")


class InstanceDiagnosis(BaseModel):
    """What may go wrong with an instance on this machine."""

    instance_name: str
    state: PowerState
    checks: list[PreflightCheck]


class OutstandingView(BaseModel):
    """A restore that must happen, or be given up, before the next backup."""

    backup: str
    also_missing: list[str] = Field(default=[], description="What newer backups had that this one has not.")
    ways_out: list[str] = Field(description="Requests that end this state.")


class InstanceView(BaseModel):
    """An instance as the API shows it."""

    name: str
    state: PowerState
    detail: str = ""
    instance_id: str | None
    cluster_uid: str | None
    restore_outstanding: OutstandingView | None
    last_proven_backup: str | None
    last_proven_at: str | None = None
    stopped_with: str | None = Field(default=None, description="The proven backup of the stop that turned it off.")
    storage_bytes: int | None = Field(description="Bytes of all its backups, as recorded at job time.")
    active_job: str | None
    links: dict[str, str]
