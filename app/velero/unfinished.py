"""Work that waits for Velero: what a starting server would run, or mark as failed."""

import asyncio
from dataclasses import dataclass
from typing import Any

from app import phases
from app.errors import ForeignWork
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesNotFound
from app.kubernetes.resources import Resource
from app.velero.models import (
    BACKUPS,
    DATA_UPLOADS,
    DELETE_BACKUP_REQUESTS,
    JOB_LABEL,
    MANAGED_BY,
    MANAGED_BY_LABEL,
    RESTORES,
)

MOST_LISTED = 20
_ENDED = {
    # A Backup whose deletion failed stays in Deleting; no server runs it or fails it.
    BACKUPS: phases.FINISHED | {phases.DELETING},
    RESTORES: phases.FINISHED,
    DELETE_BACKUP_REQUESTS: frozenset({"Processed"}),
    DATA_UPLOADS: frozenset({"Completed", "Failed", "Canceled"}),
}
_BY_KIND = {resource.kind: resource for resource in _ENDED}


@dataclass(frozen=True)
class UnfinishedWork:
    """One object that has not ended; ``job_id`` is the job of ours that made it, if any."""

    kind: str
    name: str
    phase: str
    ours: bool
    job_id: str | None


async def list_unfinished(kube: KubeClient, namespace: str) -> list[UnfinishedWork]:
    """Backups, Restores, DeleteBackupRequests and DataUploads that have not ended, by kind and name."""
    lists = await asyncio.gather(*(kube.find_all(resource, namespace) for resource in _ENDED))
    found = [
        _work(resource, item)
        for resource, items in zip(_ENDED, lists, strict=True)
        for item in items
        if ((item.get("status") or {}).get("phase") or "") not in _ENDED[resource]
    ]
    return sorted(found, key=lambda work: (work.kind, work.name))


def foreign_work(foreign: list[UnfinishedWork]) -> ForeignWork:
    """The refusal to start a Velero that would run, or fail, what somebody else has asked of it."""
    listed = [f"{work.kind} {work.name} ({work.phase})" for work in foreign]
    return ForeignWork(
        f"Velero has unfinished work that is not ours: {', '.join(listed[:5])}",
        remedy="Let it run by waking the stack yourself (`kecs-state stack NAME wake`), or delete it.",
        work=listed[:MOST_LISTED],
        work_total=len(listed),
    )


def _work(resource: Resource, item: dict[str, Any]) -> UnfinishedWork:
    labels = item["metadata"].get("labels") or {}
    return UnfinishedWork(
        kind=resource.kind,
        name=item["metadata"]["name"],
        phase=(item.get("status") or {}).get("phase") or "New",
        ours=labels.get(MANAGED_BY_LABEL) == MANAGED_BY,
        job_id=labels.get(JOB_LABEL),
    )


async def discard(kube: KubeClient, namespace: str, work: UnfinishedWork) -> None:
    """Delete the object of work that nobody waits for. Only while no server runs: it would have to clean up a
    Restore first, so the finalizer that asks for that is taken off."""
    resource = _BY_KIND[work.kind]
    if resource is RESTORES:
        try:
            await kube.merge_patch(resource, work.name, {"metadata": {"finalizers": None}}, namespace)
        except KubernetesNotFound:
            return
    await kube.delete(resource, work.name, namespace)
