"""Looking before a stop: what would be refused, what is waited for, and what no backup will hold."""

import asyncio
from pathlib import Path

from app.errors import InsufficientStorage, ServiceError
from app.host.files import free_bytes
from app.host.instance_directory import storage_paths
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import API_SERVICES, NAMESPACES, PODS
from app.ports import ClusterStatus, PowerState
from app.proof.inventory import take_inventory
from app.velero.scope import Scope
from app.workflows.identity import outstanding_error
from app.workflows.outcomes import Preparation
from app.workflows.requests import NotSaved, PreflightCheck, PreflightView, ScopeOptions
from app.workflows.world import InstanceSession

POLL_SECONDS = 0.5
#: Volumes that hold data of their own; the others are made of the API's objects or of the node.
DATA_VOLUMES = ("persistentVolumeClaim", "hostPath", "emptyDir", "nfs", "ephemeral")


async def prepare_scope(session: InstanceSession, options: ScopeOptions) -> Preparation:
    """The scope of a backup, after what stands in its way had its time to pass.

    Raises where a backup would be worth nothing or must not be made; leaves out, and lists, what is being deleted.
    """
    await check_storage(session)
    kube = await session.kube()
    hindrances = await _wait_until_settled(session, kube)
    excluded = [*options.exclude_namespaces, *(entry.name for entry in hindrances if entry.kind == "namespace")]
    scope = Scope(
        namespaces=options.include_namespaces or None,
        excluded_namespaces=excluded,
        resources=options.resources,
        selector=options.selector,
        partial=options.narrow,
        velero_namespace=session.settings.stack.namespace,
    )
    return Preparation(scope=scope, not_saved=[*hindrances, *await unsaved_volumes(kube)])


async def check_storage(session: InstanceSession) -> None:
    """Refuse a storage directory that is not on the host, and a disk that is nearly full."""
    mounts = await session.world.clusters.mounts(session.instance)
    record = storage_paths(session.directory, mounts)
    free, needed = free_bytes(Path(record.host_path)), session.settings.stack.min_free_bytes
    if free < needed:
        raise InsufficientStorage(
            f"{record.host_path} has {free:,} bytes free; a backup needs {needed:,}",
            remedy="Free space on that disk, or lower KECS_STATE_STACK__MIN_FREE_BYTES.",
            free_bytes=free,
            needed_bytes=needed,
        )


async def _wait_until_settled(session: InstanceSession, kube: KubeClient) -> list[NotSaved]:
    """What still hinders after the configured wait: Terminating namespaces and dead API services."""
    clock = asyncio.get_running_loop().time
    until = clock() + session.settings.workflow.preflight_wait_seconds
    while (hindrances := await list_hindrances(kube)) and clock() < until:
        await asyncio.sleep(POLL_SECONDS)
    return hindrances


async def list_hindrances(kube: KubeClient) -> list[NotSaved]:
    """Namespaces being deleted, and API groups whose server does not answer: no backup can hold their objects."""
    namespaces = (await kube.list(NAMESPACES)).items
    found = [
        NotSaved(kind="namespace", name=namespace["metadata"]["name"], reason="it is being deleted")
        for namespace in namespaces
        if namespace["metadata"].get("deletionTimestamp")
    ]
    for service in (await kube.list(API_SERVICES)).items:
        conditions = (service.get("status") or {}).get("conditions") or []
        if any(each["type"] == "Available" and each["status"] == "False" for each in conditions):
            name = service["metadata"]["name"]
            found.append(NotSaved(kind="api-service", name=name, reason="its server does not answer"))
    return found


async def unsaved_volumes(kube: KubeClient) -> list[NotSaved]:
    """Volumes of pods whose data no backup holds yet."""
    found = {}
    for pod in (await kube.list(PODS)).items:
        metadata = pod["metadata"]
        for volume in pod["spec"].get("volumes") or []:
            kind = next((kind for kind in DATA_VOLUMES if kind in volume), None)
            if kind is None or metadata["namespace"] == "velero":
                continue
            source = volume[kind].get("claimName") or volume[kind].get("path") or volume["name"]
            name = f"{metadata['namespace']}/{source}"
            found[name] = NotSaved(kind="volume", name=name, reason=f"the data of {kind} volumes is not saved yet")
    return list(found.values())


async def look_before_stop(session: InstanceSession, status: ClusterStatus) -> PreflightView:
    """The preflight as a view: every check with its outcome, without changing anything."""
    checks = [_state_check(status), _outstanding_check(session), await _storage_check(session)]
    not_saved: list[NotSaved] = []
    objects = None
    if status.state is PowerState.RUNNING:
        kube = await session.kube()
        hindrances = await list_hindrances(kube)
        checks += [
            PreflightCheck(name=entry.kind, outcome="waits", detail=f"{entry.name}: {entry.reason}")
            for entry in hindrances
        ]
        not_saved = [*hindrances, *await unsaved_volumes(kube)]
        scope = Scope(velero_namespace=session.settings.stack.namespace)
        objects = len((await take_inventory(kube, scope)).items)
    return PreflightView(
        instance_name=session.instance,
        state=status.state,
        would_stop=all(check.outcome != "refused" for check in checks),
        checks=checks,
        not_saved=not_saved,
        objects=objects,
    )


def _state_check(status: ClusterStatus) -> PreflightCheck:
    if status.state in {PowerState.RUNNING, PowerState.STOPPED}:
        return PreflightCheck(name="state", outcome="ok", detail=str(status.state))
    return PreflightCheck(name="state", outcome="refused", detail=f"{status.state}: {status.detail}")


def _outstanding_check(session: InstanceSession) -> PreflightCheck:
    config = session.directory.load_config()
    if config is None or config.restore_outstanding is None:
        return PreflightCheck(name="restore-outstanding", outcome="ok")
    return _refused("restore-outstanding", outstanding_error(session.instance, config.restore_outstanding))


async def _storage_check(session: InstanceSession) -> PreflightCheck:
    try:
        await check_storage(session)
    except ServiceError as error:
        return _refused("storage", error)
    return PreflightCheck(name="storage", outcome="ok")


def _refused(name: str, error: ServiceError) -> PreflightCheck:
    return PreflightCheck(name=name, outcome="refused", detail=error.detail, remedy=error.remedy, code=error.code)
