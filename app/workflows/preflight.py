"""Looking before a stop: what would be refused, what is waited for, and what no backup will hold."""

import asyncio
from collections.abc import Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from app.errors import InsufficientStorage, ServiceError
from app.host.config import ExternalRecord, StorageRecord
from app.host.files import free_bytes
from app.host.instance_directory import storage_paths
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NAMESPACES
from app.ports import ClusterStatus, PowerState
from app.proof.inventory import take_inventory
from app.storage.errors import ObjectStoreUnavailable
from app.storage.ownership import refuse_foreign
from app.velero.preflight import ClusterFinding, find_waiting, inspect_cluster
from app.velero.scope import Scope
from app.velero.volumes import ClusterVolumes, list_volumes
from app.workflows.encryption import refuse_lost_key
from app.workflows.identity import outstanding_error
from app.workflows.outcomes import Preparation
from app.workflows.requests import NotSaved, PreflightCheck, PreflightView, ScopeOptions
from app.workflows.volumes import check_volumes, refuse_lost_volumes, volumes_mode, volumes_not_saved
from app.workflows.world import InstanceSession

POLL_SECONDS = 0.5
#: An external store is asked for so long while somebody waits.
STORE_SECONDS = 20


async def require_storage(session: InstanceSession) -> None:
    """A place for the backup, room in it, and the key it needs; raises what is lacking, before anything is woken."""
    await check_storage(session)
    refuse_lost_key(session)


async def prepare_scope(session: InstanceSession, options: ScopeOptions) -> Preparation:
    """The scope of a backup, after what stands in its way had its time to pass.

    Raises where a backup would be worth nothing or must not be made; leaves out, and lists, what is being deleted.
    """
    kube = await session.kube()
    not_saved = await _wait_until_settled(session, kube)
    not_saved += await _left_out_by_policy(session, kube, options)
    mode = volumes_mode(session, options)
    excluded = [*options.exclude_namespaces, *(entry.name for entry in not_saved if entry.kind == "namespace")]
    scope = Scope(
        namespaces=options.include_namespaces or None,
        excluded_namespaces=excluded,
        resources=options.resources,
        selector=options.selector,
        partial=options.narrow,
        velero_namespace=session.settings.stack.namespace,
        volumes=mode == "file-system",
    )
    volumes = await _volumes_of(session, kube, scope)
    if mode == "refuse":
        refuse_lost_volumes(session.instance, volumes)
    return Preparation(scope=scope, not_saved=[*not_saved, *volumes_not_saved(volumes)], volumes=volumes.volumes)


async def _volumes_of(session: InstanceSession, kube: KubeClient, scope: Scope) -> ClusterVolumes:
    """What a backup would hold of each volume; what the node has from this host outlives the cluster anyway."""
    mounts = await session.mounts()
    return await list_volumes(kube, session.settings.stack, scope, [mount.node_path for mount in mounts or []])


async def _left_out_by_policy(session: InstanceSession, kube: KubeClient, options: ScopeOptions) -> list[NotSaved]:
    """Namespaces that no backup of this instance takes, unless a request names the ones it wants."""
    patterns = [] if options.include_namespaces else session.rules().exclude_namespaces
    names = [item["metadata"]["name"] for item in (await kube.list(NAMESPACES)).items] if patterns else []
    return [
        NotSaved(kind="namespace", name=name, reason="the instance's policy leaves it out (exclude_namespaces)")
        for name in names
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    ]


async def check_storage(session: InstanceSession) -> None:
    """Refuse a storage directory that is not on the host, a disk that is nearly full, an external store of no use."""
    external = session.external()
    if external is not None:
        await check_external(session, external)
        return
    mounts = await session.mounts()
    require_space(session, storage_paths(session.directory, mounts))


def require_space(session: InstanceSession, record: StorageRecord, *, more: int = 0) -> None:
    """Refuse a disk without the room a backup needs, and ``more`` bytes."""
    free, needed = free_bytes(Path(record.host_path)), session.settings.stack.min_free_bytes + more
    if free < needed:
        raise InsufficientStorage(
            f"{record.host_path} has {free:,} bytes free; a backup needs {needed:,}",
            remedy="Free space on that disk, or lower KECS_STATE_STACK__MIN_FREE_BYTES.",
            free_bytes=free,
            needed_bytes=needed,
        )


async def check_external(session: InstanceSession, place: ExternalRecord) -> None:
    """Refuse a store that does not answer, a bucket that is not there, and a part of it that is somebody else's."""
    config = session.directory.load_config()
    try:
        async with asyncio.timeout(STORE_SECONDS):
            store = await session.external_objects(place)
            await store.require_bucket()
            await refuse_foreign(store, config.instance_id if config else None, str(place))
    except TimeoutError:
        raise ObjectStoreUnavailable(
            f"{place.endpoint} has not answered within {STORE_SECONDS} s",
            remedy="Look at the store and the way to it, then try again.",
        ) from None


async def _wait_until_settled(session: InstanceSession, kube: KubeClient) -> list[NotSaved]:
    """Refuse what must be refused; then everything no backup will hold, after what may pass had its time to pass."""
    findings = await _acceptable(session, kube)
    if not any(finding.effect == "wait" for finding in findings):
        return _not_saved(findings)
    clock = asyncio.get_running_loop().time
    until = clock() + session.settings.workflow.preflight_wait_seconds
    while clock() < until and await find_waiting(kube):
        await asyncio.sleep(POLL_SECONDS)
    return _not_saved(await _acceptable(session, kube))


async def _acceptable(session: InstanceSession, kube: KubeClient) -> list[ClusterFinding]:
    findings = await inspect_cluster(kube, session.settings.stack, minio=session.external() is None)
    for finding in findings:
        if finding.error is not None:
            raise finding.error
    return findings


def _not_saved(findings: list[ClusterFinding]) -> list[NotSaved]:
    return [
        NotSaved(kind=finding.kind, name=finding.name, reason=finding.reason)
        for finding in findings
        if finding.effect in {"wait", "list"}
    ]


async def look_before_stop(session: InstanceSession, status: ClusterStatus) -> PreflightView:
    """The preflight as a view: every check with its outcome, without changing anything."""
    checks = await check_host(session, status)
    not_saved: list[NotSaved] = []
    volumes = ClusterVolumes()
    objects = None
    if status.state is PowerState.RUNNING:
        kube = await session.kube()
        findings = await inspect_cluster(kube, session.settings.stack, minio=uses_minio(session))
        checks += checks_of(findings)
        mode = volumes_mode(session)
        left_out = await _left_out_by_policy(session, kube, ScopeOptions())
        scope = Scope(
            excluded_namespaces=[entry.name for entry in left_out],
            velero_namespace=session.settings.stack.namespace,
            volumes=mode == "file-system",
        )
        volumes = await _volumes_of(session, kube, scope)
        checks.append(check_volumes(session.instance, mode, volumes))
        not_saved = [*_not_saved(findings), *left_out, *volumes_not_saved(volumes)]
        objects = len((await take_inventory(kube, scope)).items)
    return PreflightView(
        instance_name=session.instance,
        state=status.state,
        would_stop=all(check.outcome != "refused" for check in checks),
        checks=checks,
        not_saved=not_saved,
        volumes=volumes.volumes,
        objects=objects,
    )


async def check_host(session: InstanceSession, status: ClusterStatus) -> list[PreflightCheck]:
    """What can be seen without the cluster's API."""
    return [
        _state_check(status),
        _outstanding_check(session),
        await _storage_check(session),
        *_encryption_checks(session),
    ]


def checks_of(findings: Iterable[ClusterFinding]) -> list[PreflightCheck]:
    """What was found in the cluster; what only goes unsaved is no check but a list of its own."""
    return [_check(finding) for finding in findings if finding.effect != "list"]


def _check(finding: ClusterFinding) -> PreflightCheck:
    if finding.error is not None:
        return refused(f"{finding.kind} {finding.name}", finding.error)
    outcome = "waits" if finding.effect == "wait" else "ok"
    return PreflightCheck.model_validate(
        {"name": f"{finding.kind} {finding.name}", "outcome": outcome, "detail": finding.reason}
    )


def _state_check(status: ClusterStatus) -> PreflightCheck:
    if status.state in {PowerState.RUNNING, PowerState.STOPPED}:
        return PreflightCheck(name="state", outcome="ok", detail=str(status.state))
    return PreflightCheck(name="state", outcome="refused", detail=f"{status.state}: {status.detail}")


def _outstanding_check(session: InstanceSession) -> PreflightCheck:
    config = session.directory.load_config()
    if config is None or config.restore_outstanding is None:
        return PreflightCheck(name="restore-outstanding", outcome="ok")
    return refused("restore-outstanding", outstanding_error(session.instance, config.restore_outstanding))


async def _storage_check(session: InstanceSession) -> PreflightCheck:
    try:
        await check_storage(session)
    except ServiceError as error:
        return refused("storage", error)
    external = session.external()
    return PreflightCheck(name="storage", outcome="ok", detail=f"external: {external}" if external else "")


def uses_minio(session: InstanceSession) -> bool:
    """Whether backups go to MinIO in the cluster; settings that contradict the record are the storage check's word."""
    try:
        return session.external() is None
    except ServiceError:
        return False


def _encryption_checks(session: InstanceSession) -> list[PreflightCheck]:
    """Whether the key is there, where anything is encrypted or to be."""
    try:
        refuse_lost_key(session)
        wanted = session.rules().encryption == "at-rest"
    except ServiceError as error:
        return [refused("encryption", error)]
    return [PreflightCheck(name="encryption", outcome="ok", detail="at rest")] if wanted else []


def refused(name: str, error: ServiceError) -> PreflightCheck:
    """The check that an error makes fail."""
    return PreflightCheck(name=name, outcome="refused", detail=error.detail, remedy=error.remedy, code=error.code)
