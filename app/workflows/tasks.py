"""ECS tasks that run outside of a service: pods without a controller, named by the task's id."""

from app.kubernetes.resources import PODS
from app.proof.archive import Archive
from app.proof.models import ObjectKey
from app.workflows.archives import read
from app.workflows.world import InstanceSession

#: How KECS's own restoration names a task's pod and namespace; RunTask itself names them ``<id>`` and
#: ``<cluster>-<region>`` (KECS's task_manager.go, RestoreTask).
DUPLICATE_PREFIX, DUPLICATE_NAMESPACE_PREFIX = "task-", "ecs-"


async def list_rerun_tasks(session: InstanceSession, backup: str) -> list[str]:
    """Pods without a controller that were brought back: they run once more from their beginning."""
    return [str(key) for key in _tasks(await read(session, backup))]


async def list_duplicate_tasks(session: InstanceSession, backup: str) -> list[str]:
    """Pods that KECS's own restoration made of tasks that the backup has brought back as well."""
    tasks = {key.name for key in _tasks(await read(session, backup))}
    pods = [pod["metadata"] for pod in (await (await session.kube()).list(PODS)).items]
    return [
        f"pods {pod['namespace']}/{pod['name']}"
        for pod in pods
        if pod["namespace"].startswith(DUPLICATE_NAMESPACE_PREFIX)
        and pod["name"].startswith(DUPLICATE_PREFIX)
        and pod["name"].removeprefix(DUPLICATE_PREFIX) in tasks
    ]


def _tasks(archive: Archive) -> list[ObjectKey]:
    items = archive.items.items()
    return [key for key, item in items if key.resource == "pods" and not item.controller and not item.not_restorable]
