"""The stack in a sandbox cluster: asleep to awake, a backup held against the inventory's rules, asleep again."""

import io
import os
import tarfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from app.kubernetes.client import KubeClient
from app.kubernetes.port_forward import PortForward
from app.ports import ClusterAccess
from app.sandbox import supervisor
from app.settings import StackSettings
from app.storage import layout
from app.storage.s3 import S3Credentials, S3Store
from app.velero.client import VeleroClient
from app.velero.models import Backup
from app.velero.scope import FULL, collected, in_scope
from app.velero.stack.manifests import MinioPlace
from app.velero.stack.sleep import sleep, stack_state
from app.velero.stack.wake import StackContext, wake
from tests.sandbox.cluster import running_cluster

KEYS = S3Credentials("user", "not-a-real-secret")
SETTINGS = StackSettings(wake_timeout_seconds=40)


def context(kube: KubeClient, store: S3Store, state_dir: Path) -> StackContext:
    """MinIO's data lies on the host, below the cluster's one mount."""

    async def open_store() -> S3Store:
        return store

    return StackContext(
        kube=kube,
        settings=SETTINGS,
        credentials=KEYS,
        repository_password="password",
        place=MinioPlace(str(supervisor.host_directory(state_dir, "demo") / "minio-data"), os.getuid(), os.getgid()),
        crd_cache=state_dir / "crds.json",
        open_store=open_store,
    )


@asynccontextmanager
async def connected(state_dir: Path) -> AsyncIterator[tuple[KubeClient, S3Store]]:
    """Clients of the running cluster and of its MinIO, which need not be up yet."""
    async with (
        await KubeClient.connect(ClusterAccess(supervisor.kubeconfig(state_dir, "demo"))) as kube,
        PortForward(kube, "velero", "minio", 9000) as forward,
        S3Store(forward.url, KEYS, "velero") as store,
    ):
        yield kube, store


async def back_up(kube: KubeClient, name: str) -> Backup:
    """A full backup, to its end."""
    velero = VeleroClient(kube)
    ago = datetime.now(UTC) - timedelta(hours=1)
    await velero.adopt_or_create_backup(name, FULL, job_id="j", try_number=1, instance_id="i", created_not_before=ago)
    return await velero.wait_for_backup(name, timeout_seconds=40)


async def expected(kube: KubeClient) -> set[str]:
    """Every object the inventory's rules ask of a full backup, as paths in the tar."""
    found = set()
    for resource in collected((await kube.discover()).resources):
        for item in (await kube.list(resource, metadata_only=True)).items:
            metadata = item["metadata"]
            if in_scope(resource, metadata):
                place = f"namespaces/{metadata['namespace']}" if metadata.get("namespace") else "cluster"
                found.add(f"resources/{resource.group_resource}/{place}/{metadata['name']}.json")
    return found


async def stored(store: S3Store, name: str) -> set[str]:
    """Paths of the objects in the backup's tar; the second copy of the preferred version is left out."""
    content = await store.get(layout.contents_key(name))
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        names = [member.name for member in archive if member.isfile()]
    return {path for path in names if path.startswith("resources/") and "-preferredversion/" not in path}


async def test_a_backup_holds_exactly_what_the_inventory_asks_for(tmp_path: Path) -> None:
    """From nothing to a Completed backup; it may only hold more through Velero's own item actions."""
    async with running_cluster(tmp_path), connected(tmp_path) as (kube, store):
        woken = await wake(context(kube, store, tmp_path))
        assert woken.location_name == "default"
        wanted = await expected(kube)
        backup = await back_up(kube, "full")
        assert backup.phase == "Completed", backup.reason
        in_tar = await stored(store, "full")
        assert wanted - in_tar == set()
        assert {path.split("/")[1] for path in in_tar - wanted} <= {"clusterroles.rbac.authorization.k8s.io"}


async def test_a_stack_that_slept_wakes_with_what_it_had(tmp_path: Path) -> None:
    """Second wake: the definitions come from the host, the backup of before is still known and stored."""
    async with running_cluster(tmp_path, kecs=False, seeded=False), connected(tmp_path) as (kube, store):
        await wake(context(kube, store, tmp_path))
        assert (await back_up(kube, "first")).phase == "Completed"
        assert await sleep(kube, SETTINGS)
        assert await stack_state(kube, SETTINGS) == "asleep"
        await wake(context(kube, store, tmp_path))
        assert await stored(store, "first")
        await VeleroClient(kube).delete_backup("first", timeout_seconds=20)
        assert await VeleroClient(kube).find_backup("first") is None
