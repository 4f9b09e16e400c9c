"""What k3d's entrypoint does on SIGTERM: ``kubectl drain --force --delete-emptydir-data --ignore-daemonsets``.

Pods without a controller are deleted and gone; controlled ones are deleted and come back at the next start with
empty emptyDirs. Recorded from k3d 5.8.3.
"""

import asyncio
import shutil
from pathlib import Path

from app.sandbox.apiclient import KubernetesApi
from app.sandbox.kubelet.state import PODS, controller_uid
from app.sandbox.objects import Object, name_of, namespace_of

#: Docker's grace before it kills the container, drained or not.
GRACE_SECONDS = 10.0
POLL_SECONDS = 0.05


async def drain_node(directory: Path) -> None:
    """Delete every pod but those of DaemonSets, and wait until they have ended or the grace is over."""
    async with KubernetesApi.from_kubeconfig(directory / "kubeconfig") as api:
        pods = [pod for pod in (await api.list(PODS)).items if not _of_daemon_set(pod)]
        for pod in pods:
            await api.delete(PODS, name_of(pod), namespace_of(pod))
        uids = {pod["metadata"]["uid"] for pod in pods}
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                while uids & {pod["metadata"]["uid"] for pod in (await api.list(PODS)).items}:
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError:
            pass  # killed in mid-drain: the deletions are recorded already, as on the real node
    for pod in pods:
        shutil.rmtree(directory / "pods" / pod["metadata"]["uid"], ignore_errors=True)


def _of_daemon_set(pod: Object) -> bool:
    owners = pod["metadata"].get("ownerReferences") or []
    return bool(controller_uid(pod)) and any(owner["kind"] == "DaemonSet" for owner in owners)
