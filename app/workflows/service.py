"""What the API asks of the service: look at instances, and accept operations on them.

Requests are checked here, synchronously, so that a caller learns of a wrong name or a due restore at once;
what happens afterwards is the job's.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from app.errors import (
    ClusterAbsent,
    ClusterStateUnknown,
    InstanceNotFound,
    InstanceNotRunning,
    JobNotRetryable,
    NoRestoreOutstanding,
    OperationInProgress,
)
from app.host.config import Policy
from app.host.external import external_in_use
from app.host.instance_directory import InstanceDirectory
from app.jobs.models import BackupRecord, Job
from app.jobs.reconciler import Reconciler
from app.jobs.repository import RequestKey
from app.jobs.states import ENDED, JobStatus
from app.names import INSTANCE_NAME, check_instance_name
from app.ports import ClusterStatus, PowerState, ToolCheck
from app.proof.evidence import find_proof, save_pin
from app.proof.models import Proof
from app.webhooks.addresses import Addresses
from app.workflows.contradictions import refuse_contradictions
from app.workflows.deleting import backup_not_found, refuse_needed
from app.workflows.diagnosis import diagnose
from app.workflows.identity import new_record, outstanding_error
from app.workflows.migration import MigrationView, report_migration
from app.workflows.moving import not_configured
from app.workflows.policies import PolicyBody, PolicyView, replaced, view_policy
from app.workflows.preflight import look_before_stop
from app.workflows.records import instances_on_host
from app.workflows.requests import (
    AcceptRequest,
    BackupRequest,
    DeleteBackupJob,
    InstanceDiagnosis,
    InstanceView,
    JobOptions,
    MigrateRequest,
    MoveStorageRequest,
    OutstandingView,
    PreflightView,
    RestoreOptions,
    RestoreRequest,
    StartRequest,
    StopRequest,
    ValidateJob,
)
from app.workflows.rollout import choose_velero
from app.workflows.world import InstanceSession, World


class Operations:
    """Every operation of the API; holds no state of its own."""

    def __init__(self, world: World, reconciler: Reconciler, key: RequestKey | None = None) -> None:
        self._world = world
        self._reconciler = reconciler
        self._key = key
        self._addresses = Addresses(world.settings.webhooks.allowed_hosts)

    def under(self, key: RequestKey | None) -> "Operations":
        """The same operations; the job that one of them accepts is found again by the caller's key."""
        return Operations(self._world, self._reconciler, key)

    async def list_instances(self) -> list[InstanceView]:
        """Every instance that has a directory or a cluster, by name."""
        statuses = await self._world.clusters.list()
        names = set(instances_on_host(self._world)) | {name for name in statuses if INSTANCE_NAME.match(name)}
        absent = ClusterStatus(PowerState.ABSENT)
        return [await self._view(name, statuses.get(name, absent)) for name in sorted(names)]

    async def instance(self, name: str) -> InstanceView:
        """One instance; raises ``InstanceNotFound`` when there is neither a directory nor a cluster."""
        return await self._view(name, await self._status(name))

    async def preflight(self, name: str) -> PreflightView:
        """What a stop would refuse, wait for or not save; changes nothing and wakes nothing."""
        status = await self._status(name)
        async with InstanceSession(self._world, name) as session:
            return await look_before_stop(session, status)

    async def tools(self) -> Sequence[ToolCheck]:
        """The programs behind the power driver."""
        return await self._world.clusters.tools()

    async def diagnose(self, only: str | None) -> list[InstanceDiagnosis]:
        """What may go wrong with each instance, or with one; raises where not even a list can be had."""
        if only is not None:
            statuses = {only: await self._status(only)}
        else:
            statuses = {
                name: status
                for name, status in (await self._world.clusters.list()).items()
                if INSTANCE_NAME.match(name)
            }
        return list(await asyncio.gather(*(self._diagnosis(name, status) for name, status in sorted(statuses.items()))))

    async def _diagnosis(self, name: str, status: ClusterStatus) -> InstanceDiagnosis:
        async with InstanceSession(self._world, name) as session:
            return InstanceDiagnosis(instance_name=name, state=status.state, checks=await diagnose(session, status))

    async def backups(
        self, name: str, status: str | None, *, before: tuple[datetime, str] | None, limit: int
    ) -> Sequence[BackupRecord]:
        """A page of the instance's backups, newest first, deleted ones included as history."""
        await self._status(name)
        return await self._world.store.backups.page(name, status=status, before=before, limit=limit)

    async def backup(self, name: str, backup: str) -> tuple[BackupRecord, Proof | None]:
        """One backup with its proof, if it was ever proven on this host."""
        await self._status(name)
        record = await self._require_backup(name, backup)
        return record, find_proof(self._directory(name), backup)

    async def submit_stop(self, name: str, request: StopRequest) -> Job:
        """Accept a stop; 409 while a restore is outstanding, unless no backup is asked for."""
        await self._present(name)
        if request.backup.mode != "skip" and self._uses_velero(name, request):
            self._refuse_outstanding(name)
        return await self._submit("stop", name, request)

    async def submit_start(self, name: str, request: StartRequest) -> Job:
        """Accept a start; 404 for a backup that is not known."""
        await self._present(name)
        self._uses_velero(name, request)
        await self._known_backup(name, request.restore)
        return await self._submit("start", name, request)

    async def submit_backup(self, name: str, request: BackupRequest) -> Job:
        """Accept a backup of a running instance."""
        self._require_running(name, await self._present(name))
        self._refuse_outstanding(name)
        return await self._submit("backup", name, request)

    async def submit_restore(self, name: str, request: RestoreRequest) -> Job:
        """Accept a restore into a running instance."""
        self._require_running(name, await self._present(name))
        await self._known_backup(name, request.restore)
        return await self._submit("restore", name, request)

    async def submit_validate(self, name: str, request: ValidateJob) -> Job:
        """Accept looking at a backup again; the instance must run, since the bucket lies in its cluster."""
        status = await self._present(name)
        await self._require_backup(name, request.backup)
        self._require_running(name, status)
        return await self._submit("validate", name, request)

    async def submit_rebuild(self, name: str, request: JobOptions) -> Job:
        """Accept reading an instance's history anew; it must run, since the bucket lies in its cluster."""
        self._require_running(name, await self._present(name))
        return await self._submit("rebuild", name, request)

    async def submit_delete(self, name: str, request: DeleteBackupJob) -> Job:
        """Accept deleting a backup; refuses one that is pinned, due, or the last good one."""
        status = await self._present(name)
        await refuse_needed(self._world, self._directory(name), name, request)
        self._require_running(name, status)
        return await self._submit("delete-backup", name, request)

    async def migration(self, name: str) -> MigrationView:
        """What KECS tells of against the newest proven backup; changes nothing and wakes nothing."""
        status = await self._status(name)
        async with InstanceSession(self._world, name) as session:
            return await report_migration(session, status.state)

    async def submit_migrate(self, name: str, request: MigrateRequest) -> Job:
        """Accept leaving KECS's own restoration behind, or going back to it."""
        status = await self._present(name)
        if not request.back:
            self._require_running(name, status)
            self._refuse_outstanding(name)
        return await self._submit("migrate", name, request)

    async def submit_move(self, name: str, request: MoveStorageRequest) -> Job:
        """Accept moving the backups into another store, if the settings lead to both."""
        status = await self._present(name)
        directory, settings = self._directory(name), self._world.settings.storage
        external_in_use(directory, directory.load_config(), settings)
        if request.to == "external" and settings is None:
            raise not_configured()
        self._require_running(name, status)
        return await self._submit("move-storage", name, request)

    async def pin(self, name: str, backup: str, *, pinned: bool) -> BackupRecord:
        """Spare a backup from pruning and deletion, or let it go again."""
        await self._status(name)
        await self._require_backup(name, backup)
        save_pin(self._directory(name), backup, pinned=pinned)
        return await self._world.store.backups.pin(name, backup, pinned=pinned)

    async def kept(self, name: str, backup: str) -> InstanceDirectory:
        """Where this host keeps what was read of a backup."""
        await self._status(name)
        await self._require_backup(name, backup)
        return self._directory(name)

    async def retry(self, job_id: str) -> Job:
        """Accept the same operation again, by the rules of now."""
        job = await self._world.store.get(job_id)
        self._world.store.check_own(job)
        if job.status not in {JobStatus.FAILED, JobStatus.CANCELLED}:
            raise JobNotRetryable(
                f"job {job.id} has {job.status}" if job.status in ENDED else f"job {job.id} is {job.status}",
                remedy="Only a failed or a cancelled job can be submitted again.",
                job_id=job.id,
                job_status=job.status,
            )
        if job.type.startswith("stack-"):
            return await self.submit_stack(job.instance, job.type.removeprefix("stack-"))
        again: dict[str, tuple[type[JobOptions], Callable[[str, Any], Awaitable[Job]]]] = {
            "stop": (StopRequest, self.submit_stop),
            "start": (StartRequest, self.submit_start),
            "backup": (BackupRequest, self.submit_backup),
            "restore": (RestoreRequest, self.submit_restore),
            "validate": (ValidateJob, self.submit_validate),
            "rebuild": (JobOptions, self.submit_rebuild),
            "delete-backup": (DeleteBackupJob, self.submit_delete),
            "migrate": (MigrateRequest, self.submit_migrate),
            "move-storage": (MoveStorageRequest, self.submit_move),
        }
        parse, submit = again[job.type]
        return await submit(job.instance, parse.model_validate(job.request))

    async def submit_stack(self, name: str, action: str) -> Job:
        """Accept waking the stack for a person (it then stays up) or putting it to sleep."""
        self._require_running(name, await self._present(name))
        return await self._submit(f"stack-{action}", name, JobOptions())

    async def accept_outstanding(self, name: str, request: AcceptRequest) -> InstanceView:
        """Give an outstanding restore up: the state in that backup is no longer waited for."""
        status = await self._status(name)
        directory = self._directory(name)
        config = directory.load_config()
        outstanding = config.restore_outstanding if config else None
        if outstanding is None or request.backup not in {None, outstanding}:
            raise NoRestoreOutstanding(
                f"no restore of {request.backup or 'any backup'} is outstanding on instance {name!r}",
                instance_name=name,
                backup=outstanding,
            )
        await self._refuse_active(name)
        directory.update_config(restore_outstanding=None, outstanding_also_missing=[])
        return await self._view(name, status)

    async def policy(self, name: str) -> PolicyView:
        """What the user decided for an instance, and what holds for it."""
        await self._status(name)
        return view_policy(self._world.settings, name, self._policy_of(name))

    async def set_policy(self, name: str, body: PolicyBody, expect: Callable[[PolicyView], None]) -> PolicyView:
        """Replace the whole policy between two jobs; ``expect`` sees it as it is and may refuse by raising."""
        await self._status(name)
        await self._refuse_active(name)
        # From here on nothing is awaited: nobody writes between the look and the change.
        directory, settings = self._directory(name), self._world.settings
        expect(view_policy(settings, name, self._policy_of(name)))
        config = directory.load_config() or new_record(cluster_uid=None)
        changed = config.model_copy(update={"policy": replaced(config.policy, body)})
        refuse_contradictions(settings, changed)
        directory.save_config(changed)
        self._reconciler.settle(name)
        return view_policy(settings, name, changed.policy)

    def _policy_of(self, name: str) -> Policy:
        config = self._directory(name).load_config()
        return config.policy if config else Policy()

    async def _refuse_active(self, name: str) -> None:
        active = await self._world.store.active_job(name)
        if active is not None:
            raise OperationInProgress(
                f"job {active.id} ({active.type}) is active on instance {name!r}",
                remedy="Wait for it, or cancel it.",
                instance_name=name,
                job_id=active.id,
            )

    async def _submit(self, kind: str, name: str, request: JobOptions) -> Job:
        if request.callback_url is not None:
            self._addresses.check(request.callback_url)
        rules = InstanceSession(self._world, name).rules(Policy(job_timeout_seconds=request.timeout_seconds))
        seconds = min(rules.job_timeout_seconds, self._world.settings.workflow.max_job_timeout_seconds)
        deadline = datetime.now(UTC) + timedelta(seconds=seconds)
        # Only what was asked for: to say nothing means something else than to say the default.
        body = request.model_dump(mode="json", by_alias=True, exclude_unset=True)
        job = await self._world.store.create(kind, name, body, deadline, request.labels, self._key)
        self._reconciler.wake()
        return job

    async def _status(self, name: str) -> ClusterStatus:
        check_instance_name(name)
        status = await self._world.clusters.state(name)
        if status.state is PowerState.ABSENT and not self._directory(name).exists():
            raise InstanceNotFound(
                f"there is no instance {name!r}", remedy="List the instances with GET /instances.", instance_name=name
            )
        return status

    async def _present(self, name: str) -> ClusterStatus:
        status = await self._status(name)
        if status.state is PowerState.ABSENT:
            raise ClusterAbsent(
                f"instance {name!r} has no cluster",
                remedy=f"Create it with `kecs start --instance {name}`; its backups stay where they are.",
                instance_name=name,
            )
        if status.state is PowerState.UNKNOWN:
            raise ClusterStateUnknown(
                f"the power driver cannot tell whether {name!r} runs: {status.detail}",
                remedy="Check that the container engine answers, then try again.",
                instance_name=name,
            )
        return status

    @staticmethod
    def _require_running(name: str, status: ClusterStatus) -> None:
        if status.state is not PowerState.RUNNING:
            raise InstanceNotRunning(
                f"instance {name!r} is {status.state}",
                remedy=f"Start it first: POST /instances/{name}/start.",
                instance_name=name,
            )

    def _uses_velero(self, name: str, request: StopRequest | StartRequest) -> bool:
        config = self._directory(name).load_config()
        return choose_velero(self._world.settings, config, wish=request.velero_wish).use

    def _refuse_outstanding(self, name: str) -> None:
        config = self._directory(name).load_config()
        if config is not None and config.restore_outstanding:
            raise outstanding_error(name, config.restore_outstanding)

    async def _known_backup(self, name: str, wish: RestoreOptions) -> None:
        if wish.backup_id is not None:
            await self._require_backup(name, wish.backup_id)

    async def _require_backup(self, name: str, backup: str) -> BackupRecord:
        record = await self._world.store.backups.find(name, backup)
        if record is None:
            raise backup_not_found(name, backup)
        return record

    def _directory(self, name: str) -> InstanceDirectory:
        return InstanceDirectory.open(self._world.settings.instances_directory, name)

    async def _view(self, name: str, status: ClusterStatus) -> InstanceView:
        config = self._directory(name).load_config()
        records = await self._world.store.backups.kept(name)
        proven = next((record for record in records if record.status == "proven" and record.scope == "full"), None)
        active = await self._world.store.active_job(name)
        outstanding = None
        if config is not None and config.restore_outstanding:
            outstanding = OutstandingView(
                backup=config.restore_outstanding,
                also_missing=config.outstanding_also_missing,
                ways_out=[f"POST /instances/{name}/start", f"POST /instances/{name}/restore-outstanding/accept"],
            )
        still_off = config is not None and config.powered_by_nobody_since(status.off_epoch)
        return InstanceView(
            name=name,
            state=status.state,
            detail=status.detail,
            instance_id=config.instance_id if config else None,
            cluster_uid=config.cluster_uid if config else None,
            restore_outstanding=outstanding,
            last_proven_backup=proven.name if proven else None,
            last_proven_at=proven.proven_at.isoformat() if proven and proven.proven_at else None,
            stopped_with=config.stopped_with if config and still_off and status.state is PowerState.STOPPED else None,
            storage_bytes=sum(record.size_bytes or 0 for record in records),
            active_job=active.id if active else None,
            links={
                "self": f"/instances/{name}",
                "backups": f"/instances/{name}/backups",
                "preflight": f"/instances/{name}/preflight",
                "stats": f"/instances/{name}/stats",
                "jobs": f"/jobs?instance={name}",
            },
        )
