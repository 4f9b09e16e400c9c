"""Waking and sleeping against an API server where nobody runs pods: refusals, guards and what is left alone."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.errors import ForeignVelero, ForeignWork, ImageMissing, StackNotReady
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CRDS, DEPLOYMENTS, NAMESPACES, PODS, STATEFUL_SETS
from app.settings import ImageSettings, StackSettings
from app.storage.s3 import S3Credentials, S3Store
from app.velero.bodies import custom_resource, ours
from app.velero.client import VeleroClient
from app.velero.models import BACKUP_STORAGE_LOCATIONS, BACKUPS, JOB_LABEL, RESTORES
from app.velero.stack import manifests
from app.velero.stack.manifests import MinioPlace
from app.velero.stack.sleep import sleep, stack_state
from app.velero.stack.wake import StackContext, _Waking, wake
from tests.waiting import eventually

WAIT_SECONDS = 20
PLACE = MinioPlace("/data", 0, 0)
KEYS = S3Credentials("user", "not-a-real-secret")
MakeContext = Callable[..., StackContext]


@pytest.fixture
def context(kube: KubeClient, tmp_path: Path) -> MakeContext:
    """A context for a namespace of the test's own."""

    async def open_store() -> S3Store:
        return S3Store("http://127.0.0.1:9", KEYS, "velero")  # no MinIO ever gets ready here

    def make(namespace: str, **changes: Any) -> StackContext:
        settings = StackSettings(namespace=namespace, **({"wake_timeout_seconds": 1.5} | changes))
        return StackContext(
            kube=kube,
            settings=settings,
            credentials=KEYS,
            repository_password="password",
            place=PLACE,
            crd_cache=tmp_path / "crds.json",
            open_store=open_store,
            active_jobs=frozenset({"active"}),
        )

    return make


async def install(context: StackContext, *, woken_by: str = "job", replicas: int = 1) -> None:
    """The workloads of a stack of ours."""
    kube, settings = context.kube, context.settings
    await kube.apply(NAMESPACES, manifests.namespace_manifest(settings))
    velero = manifests.velero_manifest(settings, minio_cluster_ip="10.43.0.9", woken_by=woken_by, replicas=replicas)
    await kube.apply(DEPLOYMENTS, velero)
    await kube.apply(STATEFUL_SETS, manifests.minio_manifest(settings, PLACE, replicas=replicas))


async def post_backup(context: StackContext, name: str, labels: dict[str, str]) -> None:
    """A Backup that has not begun."""
    namespace = context.settings.namespace
    await context.kube.create(BACKUPS, custom_resource(BACKUPS, namespace, name, {}, labels), namespace)


async def scale(context: StackContext) -> tuple[int, int]:
    """Replicas of Velero and MinIO."""
    velero = await context.kube.get(DEPLOYMENTS, "velero", context.settings.namespace)
    minio = await context.kube.get(STATEFUL_SETS, "minio", context.settings.namespace)
    return velero["spec"]["replicas"], minio["spec"]["replicas"]


async def set_waiting(context: StackContext, reason: str) -> None:
    """What a kubelet says of the first pod of the stack that cannot get its image."""
    kube, namespace = context.kube, context.settings.namespace
    async with asyncio.timeout(WAIT_SECONDS):
        while not (pods := (await kube.list(PODS, namespace)).items):
            await asyncio.sleep(0.02)
    container = pods[0]["spec"]["containers"][0]["name"]
    waiting = {"name": container, "state": {"waiting": {"reason": reason, "message": "cannot parse"}}}
    await kube.transport.request(
        "PATCH",
        PODS.path(namespace, pods[0]["metadata"]["name"], "status"),
        body={"status": {"containerStatuses": [waiting]}},
        content_type="application/merge-patch+json",
    )


async def test_somebody_elses_velero_is_refused(kube: KubeClient, context: MakeContext) -> None:
    """A namespace without our label is enough; the problem names the ways out."""
    waking = context("theirs")
    await kube.create(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "theirs"}})
    assert await stack_state(kube, waking.settings) == "foreign"
    with pytest.raises(ForeignVelero) as refused:
        await wake(waking)
    assert "ADOPT_FOREIGN" in refused.value.remedy
    assert not await sleep(kube, waking.settings, force=True)


async def test_foreign_work_is_refused_before_anything_is_scaled(velero: VeleroClient, context: MakeContext) -> None:
    """A starting server would run it."""
    assert velero
    waking = context("with-foreign-work")
    await install(waking, replicas=0)
    await post_backup(waking, "nightly", {})
    with pytest.raises(ForeignWork, match="Backup nightly"):
        await wake(waking)
    assert await scale(waking) == (0, 0)


async def test_a_person_may_wake_a_velero_that_others_wait_for(velero: VeleroClient, context: MakeContext) -> None:
    """That is the way out the refusal names; nothing of theirs is touched."""
    assert velero
    waking = replace(context("with-wanted-work"), woken_by="user")
    await install(waking, replicas=0)
    await post_backup(waking, "nightly", {})
    with pytest.raises(StackNotReady):  # no MinIO ever gets ready here
        await wake(waking)
    assert (await scale(waking))[1] == 1, "MinIO is brought up, which a refusal never does"
    assert await waking.kube.find(BACKUPS, "nightly", "with-wanted-work") is not None


async def test_what_ended_jobs_left_behind_goes_and_active_jobs_keep_theirs(
    velero: VeleroClient, context: MakeContext
) -> None:
    """A Restore goes although its finalizer asks a server that does not run."""
    assert velero
    waking = context("with-leftovers")
    await install(waking, replicas=0)
    await post_backup(waking, "left", ours({JOB_LABEL: "ended"}))
    await post_backup(waking, "wanted", ours({JOB_LABEL: "active"}))
    restore = custom_resource(RESTORES, "with-leftovers", "left", {}, ours({JOB_LABEL: "ended"}))
    restore["metadata"]["finalizers"] = ["restores.velero.io/external-resources-finalizer"]
    await waking.kube.create(RESTORES, restore, "with-leftovers")
    with pytest.raises(StackNotReady):
        await wake(waking)
    assert await waking.kube.find(RESTORES, "left", "with-leftovers") is None
    backups = await waking.kube.list(BACKUPS, "with-leftovers")
    assert [item["metadata"]["name"] for item in backups.items] == ["wanted"]


@pytest.mark.parametrize("labels", [{"deploy": "velero"}, {"app": "minio"}])
async def test_a_pod_on_its_way_out_is_waited_for(context: MakeContext, labels: dict[str, str]) -> None:
    """An old Velero knows old types; a new one connects to the old MinIO, and hears nothing for half a minute."""
    waking = context(f"leaving-{'-'.join(labels.values())}", wake_timeout_seconds=10)
    await install(waking, replicas=0)
    kube, namespace = waking.kube, waking.settings.namespace
    spec = {"nodeName": "node", "containers": [{"name": "main", "image": "none"}]}
    await kube.create(PODS, {"metadata": {"name": "leaving", "labels": labels}, "spec": spec}, namespace)
    await kube.delete(PODS, "leaving", namespace, grace_seconds=60)
    woken = asyncio.create_task(wake(waking))
    await asyncio.sleep(1)
    assert await scale(waking) == (0, 0)
    await kube.delete(PODS, "leaving", namespace, grace_seconds=0)

    async def is_brought_up() -> bool:
        return (await scale(waking))[1] > 0

    await eventually(is_brought_up, WAIT_SECONDS)
    woken.cancel()
    await asyncio.wait([woken])


async def test_a_missing_image_is_said_long_before_the_deadline(context: MakeContext) -> None:
    """With the image, the kubelet's words and the setting."""
    images = ImageSettings(velero="registry.invalid/Velero:1")
    waking = context("without-image", wake_timeout_seconds=60, images=images)
    kubelet = asyncio.create_task(set_waiting(waking, "InvalidImageName"))
    with pytest.raises(ImageMissing) as missing:
        await wake(waking)
    await kubelet
    assert missing.value.extras["image"] == "registry.invalid/Velero:1"
    assert "KECS_STATE_STACK__IMAGES__VELERO" in missing.value.remedy


async def test_the_deadline_says_what_did_not_come_up(context: MakeContext) -> None:
    """Nobody runs pods here, so the definitions cannot be read."""
    with pytest.raises(StackNotReady, match=r"not up within 1.5 s; it was \w+"):
        await wake(context("without-kubelet"))


async def test_a_stack_woken_by_a_job_is_put_to_sleep(context: MakeContext) -> None:
    """Both workloads, and once more is success."""
    waking = context("woken-by-job")
    await install(waking)
    assert await stack_state(waking.kube, waking.settings) == "awake"
    assert await sleep(waking.kube, waking.settings)
    assert await scale(waking) == (0, 0)
    assert await sleep(waking.kube, waking.settings)
    assert await stack_state(waking.kube, waking.settings) == "asleep"


async def test_a_stack_woken_by_a_person_stays_up_until_the_person_says_so(context: MakeContext) -> None:
    """Afterwards nobody has woken it any more."""
    waking = context("woken-by-user")
    await install(waking, woken_by="user")
    assert not await sleep(waking.kube, waking.settings)
    assert (await scale(waking))[1] == 1, "MinIO is brought up, which a refusal never does"
    assert await sleep(waking.kube, waking.settings, force=True)
    deployment = await waking.kube.get(DEPLOYMENTS, "velero", "woken-by-user")
    assert manifests.WOKEN_BY not in (deployment["metadata"].get("annotations") or {})


async def test_a_resident_stack_stays_up(context: MakeContext) -> None:
    """The setting says so."""
    waking = context("resident", mode="resident")
    await install(waking)
    assert not await sleep(waking.kube, waking.settings)


async def test_a_velero_that_works_for_somebody_else_stays_up(velero: VeleroClient, context: MakeContext) -> None:
    """Their backup would be failed."""
    assert velero
    waking = context("busy")
    await install(waking)
    await post_backup(waking, "theirs", {})
    assert not await sleep(waking.kube, waking.settings, force=True)
    assert (await scale(waking))[1] == 1, "MinIO is brought up, which a refusal never does"


async def test_nothing_installed_is_asleep(context: MakeContext) -> None:
    """An instance that was never backed up."""
    waking = context("never-made")
    assert await stack_state(waking.kube, waking.settings) == "absent"
    assert await sleep(waking.kube, waking.settings)


async def test_definitions_are_sent_only_when_they_changed(velero: VeleroClient, kube: KubeClient) -> None:
    """Thirteen large objects per wake are saved."""
    from app.velero.stack.crds import apply_definitions
    from tests.velero.conftest import definitions

    assert velero
    before = await kube.get(CRDS, BACKUPS.group_resource)
    await apply_definitions(kube, definitions())
    after = await kube.get(CRDS, BACKUPS.group_resource)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_validation_within_the_same_second_as_the_last_is_seen(
    velero: VeleroClient,  # noqa: ARG001 - its types are installed
    kube: KubeClient,
    context: MakeContext,
) -> None:
    """Velero writes whole seconds, so the new time may be the old one; a quick second wake waited for ever."""
    waking = _Waking(context("velero"))
    status = {"phase": "Available", "lastValidationTime": "2026-11-23T12:00:00Z"}
    location = manifests.storage_location_manifest(StackSettings())
    await kube.apply(BACKUP_STORAGE_LOCATIONS, location)
    await kube.merge_patch(BACKUP_STORAGE_LOCATIONS, "default", {"status": status}, "velero")
    await waking._forget_validation("default")
    validated = asyncio.create_task(waking._validate("default"))
    await asyncio.sleep(0.2)
    assert not validated.done()
    await kube.merge_patch(BACKUP_STORAGE_LOCATIONS, "default", {"status": status}, "velero")
    async with asyncio.timeout(10):
        await validated
