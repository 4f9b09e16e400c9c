"""MinIO in the cluster: asked for, and waited for until its bucket is there."""

import asyncio
from typing import Any

from app.errors import TemporaryError
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NETWORK_POLICIES, SERVICES, STATEFUL_SETS
from app.settings import StackSettings
from app.storage.s3 import S3Store
from app.velero.stack import manifests
from app.velero.stack.manifests import MINIO, MinioPlace

POLL_SECONDS = 0.1


async def ask_for_minio(kube: KubeClient, settings: StackSettings, place: MinioPlace) -> str:
    """Its Service, who may reach it, and its StatefulSet applied; returns the Service's address."""
    await kube.apply(NETWORK_POLICIES, manifests.network_policy_manifest(settings))
    service = await kube.apply(SERVICES, manifests.minio_service_manifest(settings))
    await kube.apply(STATEFUL_SETS, manifests.minio_manifest(settings, place))
    return str(service["spec"]["clusterIP"])


async def ensure_bucket(kube: KubeClient, settings: StackSettings, store: S3Store) -> None:
    """Wait for MinIO, and make the bucket unless it is there."""
    await kube.wait_for(
        STATEFUL_SETS, MINIO, settings.namespace, _is_ready, timeout_seconds=settings.wake_timeout_seconds
    )
    while True:
        try:
            await store.ensure_bucket()
        except TemporaryError:
            await asyncio.sleep(POLL_SECONDS)
        else:
            return


def _is_ready(workload: dict[str, Any] | None) -> bool:
    """Ready pods of the latest specification, and none of an earlier one."""
    if workload is None:
        return False
    status = workload.get("status") or {}
    generation = workload["metadata"].get("generation", 0)
    replaced = status.get("currentRevision") == status.get("updateRevision")
    return bool(status.get("readyReplicas")) and replaced and status.get("observedGeneration", generation) >= generation
