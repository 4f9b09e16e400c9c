"""ECS tasks that run outside of a service: pods without a controller, named by the task's id.

What a power-off does to one depends on its restartPolicy: ``Always`` and ``OnFailure`` run on after the next power-on,
``Never`` has failed (seen on a real node: exit code 255, reason ``Unknown``). Whether such a task, or one whose cluster
was made anew, runs once more is the policy ``rerun_tasks``.
"""

from collections.abc import Callable
from typing import Any

from app.host.config import Policy
from app.kubernetes.resources import PODS
from app.proof.archive import Archive
from app.proof.models import ObjectKey
from app.workflows.archives import ours_to_restore
from app.workflows.requests import RerunTasks, RestoreOptions
from app.workflows.world import InstanceSession

#: How KECS's own restoration names a task's pod and namespace; RunTask itself names them ``<id>`` and
#: ``<cluster>-<region>`` (KECS's task_manager.go, RestoreTask).
DUPLICATE_PREFIX, DUPLICATE_NAMESPACE_PREFIX = "task-", "ecs-"
#: How the node tells of a container whose machine went away under it.
_LOST_REASONS = {"Unknown", "ContainerStatusUnknown"}
#: Of one that was killed first: 128 and the number of SIGKILL. One that took too much memory has the reason OOMKilled.
_KILLED = ("Error", 137)


def rerun_policy(session: InstanceSession, wish: RestoreOptions) -> RerunTasks:
    """What the request says, else the instance's policy, else the setting."""
    return session.rules(Policy(rerun_tasks=wish.rerun_tasks)).rerun_tasks


def tasks_of(archive: Archive) -> list[ObjectKey]:
    """Tasks that ran when the backup was made."""
    items = archive.items.items()
    return [key for key, item in items if key.resource == "pods" and not item.controller and not item.not_restorable]


def left_out_tasks(archive: Archive, rerun: RerunTasks) -> list[ObjectKey]:
    """Tasks of the backup that are not to run once more."""
    return tasks_of(archive) if rerun == "skip" else []


def wanted_objects(archive: Archive, rerun: RerunTasks) -> Callable[[ObjectKey], bool]:
    """What of a backup a restore has to bring back."""
    left_out = set(left_out_tasks(archive, rerun))
    return lambda key: ours_to_restore(key) and key not in left_out


async def find_ended_tasks(session: InstanceSession, archive: Archive, *, power_was_off: bool) -> list[ObjectKey]:
    """Tasks of the backup that are there and that a power-off has ended, see ``was_ended``."""
    return _ended(archive, await _pods_of(session, archive), power_was_off=power_was_off)


async def remove_ended_tasks(session: InstanceSession, backup: str, *, power_was_off: bool) -> list[str]:
    """Make room for them to be brought back and run once more; removed already is success."""
    ended = await find_ended_tasks(session, await session.index(backup), power_was_off=power_was_off)
    kube = await session.kube()
    for key in ended:
        await kube.delete(PODS, key.name, key.namespace, grace_seconds=0)
    return [str(key) for key in ended]


async def list_rerun_tasks(session: InstanceSession, backup: str) -> list[str]:
    """Tasks that were brought back: they run once more from their beginning. Those that ran on are not among them."""
    archive = await session.index(backup)
    pods = await _pods_of(session, archive)
    return [str(key) for key, pod in pods.items() if pod["metadata"]["uid"] != archive.items[key].uid]


async def list_tasks_not_run(
    session: InstanceSession, backup: str, rerun: RerunTasks, *, power_was_off: bool
) -> list[str]:
    """Tasks that were left out and are not there, or have ended: one that the power-off did not end runs on."""
    if rerun == "keep":
        return []
    archive = await session.index(backup)
    pods = await _pods_of(session, archive)
    ended = _ended(archive, pods, power_was_off=power_was_off)
    return [str(key) for key in tasks_of(archive) if key in ended or key not in pods]


def was_ended(pod: dict[str, Any], uid: str, *, power_was_off: bool) -> bool:
    """Whether a power-off, and nothing else, has ended this pod; ``uid`` is the one it had at the backup.

    ``power_was_off`` says that one happened since: then the task is over, even if its node has not said so yet.
    """
    if pod["metadata"]["uid"] != uid or pod["spec"].get("restartPolicy") != "Never":
        return False
    status = pod.get("status") or {}
    ends = [container.get("state", {}).get("terminated") or {} for container in status.get("containerStatuses") or []]
    lost = any(
        end.get("reason") in _LOST_REASONS or (end.get("reason"), end.get("exitCode")) == _KILLED for end in ends
    )
    return (status.get("phase") == "Failed" and lost) or (status.get("phase") == "Running" and power_was_off)


async def list_duplicate_tasks(session: InstanceSession, backup: str) -> list[str]:
    """Pods that KECS's own restoration made of tasks that the backup has brought back as well."""
    tasks = {key.name for key in tasks_of(await session.index(backup))}
    return [
        str(key)
        for key in await _pods(session)
        if key.namespace.startswith(DUPLICATE_NAMESPACE_PREFIX)
        and key.name.startswith(DUPLICATE_PREFIX)
        and key.name.removeprefix(DUPLICATE_PREFIX) in tasks
    ]


async def _pods_of(session: InstanceSession, archive: Archive) -> dict[ObjectKey, dict[str, Any]]:
    """The backup's tasks that are there, in its order; without any, nobody is asked."""
    tasks = tasks_of(archive)
    pods = await _pods(session) if tasks else {}
    return {key: pods[key] for key in tasks if key in pods}


def _ended(archive: Archive, pods: dict[ObjectKey, dict[str, Any]], *, power_was_off: bool) -> list[ObjectKey]:
    return [key for key, pod in pods.items() if was_ended(pod, archive.items[key].uid, power_was_off=power_was_off)]


async def _pods(session: InstanceSession) -> dict[ObjectKey, dict[str, Any]]:
    pods = (await (await session.kube()).list(PODS)).items
    return {
        ObjectKey(resource="pods", namespace=pod["metadata"]["namespace"], name=pod["metadata"]["name"]): pod
        for pod in pods
    }
