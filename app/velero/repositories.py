"""The repositories of volumes, one a namespace, and their maintenance, which frees the space of what was deleted.

Velero maintains a repository in a Job of its own when ``maintenanceFrequency`` has passed since the last time, as it
finds out when its server starts, every five minutes, and when the specification changes (velero
pkg/controller/backup_repository_controller.go). In a stack that sleeps, such a Job would run into the end of MinIO, and
a cluster made anew counts from its own beginning. So Velero's own timer never rings, and a job asks when it can wait.
"""

import contextlib
from typing import Any

from pydantic import Field

from app.concurrency import side_by_side
from app.errors import ServiceError
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesNotFound
from app.kubernetes.resources import JOBS
from app.velero.models import BACKUP_REPOSITORIES, VeleroModel, without_nulls

#: A hundred years, and at once.
NEVER, NOW = "876000h0m0s", "1s"
#: On the Jobs of a repository's maintenance (velero pkg/repository/maintenance).
_JOB_LABEL = "velero.io/repo-name"


class RepositoryNotMaintained(ServiceError):
    """What was deleted keeps its space until the next time."""

    code, status, title = "repository-not-maintained", 502, "A volume repository was not cleaned"


class Maintenance(VeleroModel):
    """One maintenance, as Velero keeps it in the repository's status."""

    result: str = ""
    message: str = ""
    start_timestamp: str = ""


class RepositoryStatus(VeleroModel):
    """``recent_maintenance``: the last three, oldest first."""

    phase: str = ""
    recent_maintenance: list[Maintenance] = Field(default_factory=list)

    @property
    def last(self) -> Maintenance | None:
        """The latest, if there was one."""
        return self.recent_maintenance[-1] if self.recent_maintenance else None


async def maintain_repositories(kube: KubeClient, namespace: str, *, timeout_seconds: float) -> list[str]:
    """Maintain every repository that is ready, and give their names. Velero must be awake; it takes one at a time.

    Raises ``RepositoryNotMaintained`` with Velero's words, ``StepTimeout`` when the time is over.
    """
    found = (await kube.list(BACKUP_REPOSITORIES, namespace)).items
    names = sorted(item["metadata"]["name"] for item in found if _status(item).phase == "Ready")
    try:
        await side_by_side(*(_maintain(kube, name, namespace, timeout_seconds) for name in names))
    finally:
        await side_by_side(*(_set_frequency(kube, name, namespace, NEVER) for name in names))
        await _remove_ended_jobs(kube, namespace)
    return names


async def _maintain(kube: KubeClient, name: str, namespace: str, timeout_seconds: float) -> None:
    before = _status(await kube.get(BACKUP_REPOSITORIES, name, namespace)).last
    await _set_frequency(kube, name, namespace, NOW)
    done = await kube.wait_for(
        BACKUP_REPOSITORIES,
        name,
        namespace,
        lambda now: now is None or _status(now).last != before,
        timeout_seconds=timeout_seconds,
    )
    last = _status(done).last if done is not None else None
    if last is not None and last.result != "Succeeded":
        raise RepositoryNotMaintained(f"the repository {name!r} was not cleaned: {last.message[:300]}")


async def _set_frequency(kube: KubeClient, name: str, namespace: str, frequency: str) -> None:
    with contextlib.suppress(KubernetesNotFound):
        patch = {"spec": {"maintenanceFrequency": frequency}}
        await kube.merge_patch(BACKUP_REPOSITORIES, name, patch, namespace)


async def _remove_ended_jobs(kube: KubeClient, namespace: str) -> None:
    """Their pods would stay as ended ones in a namespace that is to have none between jobs."""
    for job in (await kube.list(JOBS, namespace, label_selector=_JOB_LABEL)).items:
        status = job.get("status") or {}
        if status.get("succeeded") or status.get("failed"):
            await kube.delete(JOBS, job["metadata"]["name"], namespace)


def _status(repository: dict[str, Any]) -> RepositoryStatus:
    return RepositoryStatus.model_validate(without_nulls(repository.get("status") or {}))
