"""Volumes in a restore: what makes them come back, and what came of each."""

from collections.abc import Callable

from app.jobs.journal import Journal
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DAEMON_SETS, PODS, REPLICA_SETS, STATEFUL_SETS
from app.proof.archive import Archive
from app.proof.evidence import find_proof
from app.proof.models import ObjectKey
from app.storage import layout
from app.storage.errors import ObjectNotFound
from app.velero.pod_volumes import PodVolumeOperation, read_pod_volume_backups, read_replaced_volumes
from app.workflows.outcomes import Comparison, RestoredVolume
from app.workflows.stack import start_node_agent
from app.workflows.world import InstanceSession

#: Controllers that take a pod over which is there before them; a Job would make another one.
_ADOPTING = {resource.group_resource: resource for resource in (REPLICA_SETS, STATEFUL_SETS, DAEMON_SETS)}


async def saved_volumes(session: InstanceSession, backup: str) -> list[PodVolumeOperation]:
    """The PodVolumeBackups of a backup that ended well."""
    packed = await _small_object(session, layout.pod_volume_backups_key(backup))
    return [each for each in read_pod_volume_backups(packed) if each.completed]


async def replaced_volumes(session: InstanceSession, backup: str) -> set[ObjectKey]:
    """PersistentVolumes that do not come back, since their claims get new ones with the data."""
    packed = await _small_object(session, layout.volume_info_key(backup))
    return {ObjectKey(resource="persistentvolumes", namespace="", name=name) for name in read_replaced_volumes(packed)}


async def _small_object(session: InstanceSession, key: str) -> bytes:
    try:
        return await (await session.objects()).get(key)
    except ObjectNotFound:
        return b""


async def prepare_volumes(session: InstanceSession, backup: str) -> None:
    """A node-agent, if the backup holds volumes: without one a restored pod would wait for its data for ever."""
    if await saved_volumes(session, backup):
        await start_node_agent(session)


async def carriers(session: InstanceSession, archive: Archive, backup: str) -> set[ObjectKey]:
    """Pods that a Restore must make though they have a controller, since data comes back only into a restored pod.

    One whose controller is there already would be one too many, so it is left to it, and its data with it.
    """
    pods = {_pod_of(volume) for volume in await saved_volumes(session, backup)} & archive.items.keys()
    kube = await session.kube()
    return {pod for pod in sorted(pods, key=str) if await _can_be_adopted(kube, archive, pod)}


async def _can_be_adopted(kube: KubeClient, archive: Archive, pod: ObjectKey) -> bool:
    controller = archive.controller_of(archive.items[pod])
    if controller is None or (resource := _ADOPTING.get(controller.resource)) is None:
        return False
    return await kube.find(resource, controller.name, controller.namespace) is None


async def list_restored_volumes(
    session: InstanceSession, backup: str, wanted: Callable[[ObjectKey], bool]
) -> list[RestoredVolume]:
    """What came of every volume of the backup whose pod was to be restored."""
    saved = [volume for volume in await saved_volumes(session, backup) if wanted(_pod_of(volume))]
    if not saved:
        return []
    kube, velero = await session.kube(), await session.velero()
    pods = {(pod["metadata"]["namespace"], pod["metadata"]["name"]): pod for pod in (await kube.list(PODS)).items}
    uids = {place: str(pod["metadata"]["uid"]) for place, pod in pods.items()}
    restores = {_snapshot_of(each): each for each in await velero.list_volume_restores()}
    survived = _same_cluster(session, backup)
    return [outcome_of(volume, restores.get(_snapshot_of(volume)), uids, survived=survived) for volume in saved]


def outcome_of(
    saved: PodVolumeOperation,
    restore: PodVolumeOperation | None,
    uids: dict[tuple[str, str], str],
    *,
    survived: bool,
) -> RestoredVolume:
    """By its backup, the restore of it if there was one, and the UIDs of live pods by namespace and name."""
    pod = saved.spec.pod
    size, state, reason = saved.status.progress.total_bytes, "restored", ""
    if restore is None and survived:
        state, reason = "kept", "the cluster survived with its own"
    elif restore is None:
        state, reason = "missing", "its controller, or somebody else, had made the pod before its data could come back"
    elif not restore.completed:
        state, reason = "missing", f"{restore.status.phase or 'unfinished'} {restore.status.message}".strip()
    elif not saved.claim and uids.get((pod.namespace, pod.name)) != restore.spec.pod.uid:
        state, reason = "missing", "its pod was replaced after the data had come back"
    return RestoredVolume(
        namespace=pod.namespace, pod=pod.name, volume=saved.spec.volume, claim=saved.claim,
        outcome=state, reason=reason, size_bytes=size,
    )  # fmt: skip


def with_missing_volumes(comparison: Comparison, volumes: list[RestoredVolume]) -> Comparison:
    """A volume that did not come back is missing like an object that did not."""
    lost = [volume for volume in volumes if volume.outcome == "missing"]
    named = [f"volume {each.namespace}/{each.pod}:{each.volume} ({each.reason})" for each in lost]
    return comparison.model_copy(update={"missing": [*comparison.missing, *named]})


async def check_volumes(
    session: InstanceSession,
    journal: Journal,
    backup: str,
    wanted: Callable[[ObjectKey], bool],
    comparison: Comparison,
) -> tuple[Comparison, list[RestoredVolume]]:
    """The comparison with the volumes that are missing, and what came of each volume."""
    volumes = await journal.step(list_restored_volumes, session, backup, wanted)
    return with_missing_volumes(comparison, volumes), volumes


def _pod_of(volume: PodVolumeOperation) -> ObjectKey:
    return ObjectKey(resource="pods", namespace=volume.spec.pod.namespace, name=volume.spec.pod.name)


def _snapshot_of(operation: PodVolumeOperation) -> tuple[str, str, str]:
    """Which data of which pod: a backup has it in its status, a restore in its specification."""
    pod = operation.spec.pod
    return pod.namespace, pod.name, operation.spec.snapshot_id or operation.status.snapshot_id


def _same_cluster(session: InstanceSession, backup: str) -> bool:
    proof, config = find_proof(session.directory, backup), session.directory.load_config()
    return proof is not None and config is not None and proof.cluster_uid == config.cluster_uid
