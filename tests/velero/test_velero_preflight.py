"""Looking at a cluster before a backup, over the wire; looking changes nothing."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.errors import ImageMissing
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NAMESPACES, NODES, VALIDATING_WEBHOOKS, Resource
from app.settings import ImageSettings, StackSettings
from app.velero.bodies import custom_resource
from app.velero.client import VeleroClient
from app.velero.models import BACKUPS
from app.velero.preflight import (
    ClusterFinding,
    find_images,
    find_namespaces,
    find_rejecting_webhooks,
    find_velero_obstacles,
    inspect_cluster,
)
from app.velero.stack.manifests import namespace_manifest

SETTINGS = StackSettings()


@contextlib.asynccontextmanager
async def having(kube: KubeClient, resource: Resource, body: dict[str, Any]) -> AsyncIterator[None]:
    """An object that is there meanwhile."""
    metadata = body["metadata"]
    body = {"apiVersion": resource.api_version, "kind": resource.kind} | body
    await kube.create(resource, body, metadata.get("namespace"))
    try:
        yield
    finally:
        await kube.delete(resource, metadata["name"], metadata.get("namespace"))


def webhook(group: str, policy: str = "Fail") -> dict[str, Any]:
    """A configuration whose Service does not exist."""
    return {
        "metadata": {"name": "policy"},
        "webhooks": [
            {
                "name": "policy.example.com",
                "failurePolicy": policy,
                "sideEffects": "None",
                "admissionReviewVersions": ["v1"],
                "clientConfig": {"service": {"name": "nobody", "namespace": "default", "path": "/"}},
                "rules": [{"apiGroups": [group], "apiVersions": ["*"], "resources": ["*"], "operations": ["CREATE"]}],
            }
        ],
    }


def effects(found: list[ClusterFinding]) -> list[tuple[str, str]]:
    """Effect and name of each finding."""
    return [(finding.effect, finding.name) for finding in found]


async def test_a_webhook_that_rejects_backups_is_named(velero: VeleroClient, kube: KubeClient) -> None:
    """Asked by a create that is not stored."""
    async with having(kube, VALIDATING_WEBHOOKS, webhook("velero.io")):
        found = await find_rejecting_webhooks(kube, SETTINGS)
    assert effects(found) == [("refuse", "policy.example.com")]
    assert found[0].error is not None
    assert found[0].error.code == "webhook-rejects-backups"
    assert await velero.list_backups() == []


@pytest.mark.parametrize(("group", "policy"), [("apps", "Fail"), ("velero.io", "Ignore")])
async def test_other_webhooks_do_not_matter(velero: VeleroClient, kube: KubeClient, group: str, policy: str) -> None:
    """Other groups, or one that may fail."""
    assert velero
    async with having(kube, VALIDATING_WEBHOOKS, webhook(group, policy)):
        assert await find_rejecting_webhooks(kube, SETTINGS) == []


async def test_before_velero_is_there_a_dead_webhook_is_found_by_its_rules(kube: KubeClient) -> None:
    """No Backup can be tried yet, but nobody stands behind the webhook's Service."""
    async with having(kube, VALIDATING_WEBHOOKS, webhook("*")):
        found = await find_rejecting_webhooks(kube, StackSettings(namespace="not-there-yet"))
    assert effects(found) == [("refuse", "policy.example.com")]


async def test_a_namespace_being_deleted_is_waited_for(kube: KubeClient) -> None:
    """A labelled one is listed: Velero leaves it out with all that is in it."""
    kept = {"metadata": {"name": "going", "finalizers": ["example.com/hold"]}}
    hidden = {"metadata": {"name": "hidden", "labels": {"velero.io/exclude-from-backup": "true"}}}
    async with having(kube, NAMESPACES, kept), having(kube, NAMESPACES, hidden):
        await kube.delete(NAMESPACES, "going")
        found = effects(await find_namespaces(kube))
        await kube.merge_patch(NAMESPACES, "going", {"metadata": {"finalizers": None}})
    assert ("wait", "going") in found
    assert ("list", "hidden") in found


async def test_work_of_others_waiting_for_a_sleeping_velero_refuses(velero: VeleroClient, kube: KubeClient) -> None:
    """It would run as soon as the stack wakes."""
    assert velero
    async with having(kube, BACKUPS, custom_resource(BACKUPS, "velero", "nightly", {})):
        found = await find_velero_obstacles(kube, SETTINGS)
    assert effects(found) == [("refuse", "nightly")]


async def test_an_adopted_foreign_velero_is_only_worth_knowing(kube: KubeClient) -> None:
    """Without the setting it refuses."""
    async with having(kube, NAMESPACES, {"metadata": {"name": "theirs"}}):
        refused = await find_velero_obstacles(kube, StackSettings(namespace="theirs"))
        adopted = await find_velero_obstacles(kube, StackSettings(namespace="theirs", adopt_foreign=True))
    assert (effects(refused), effects(adopted)) == ([("refuse", "theirs")], [("info", "theirs")])


async def test_an_image_nobody_can_pull_refuses_unless_a_node_has_it(kube: KubeClient) -> None:
    """MinIO's images are gone from Docker Hub."""
    settings = StackSettings(images=ImageSettings(minio="minio/minio:latest"))
    found = {finding.name: finding for finding in await find_images(kube, settings)}
    assert isinstance(found["minio/minio:latest"].error, ImageMissing)
    async with having(kube, NODES, {"metadata": {"name": "node"}}):
        await kube.transport.request(
            "PATCH",
            NODES.path(None, "node", "status"),
            body={"status": {"images": [{"names": ["docker.io/minio/minio:latest"]}]}},
            content_type="application/merge-patch+json",
        )
        found = {finding.name: finding for finding in await find_images(kube, settings)}
    assert found["minio/minio:latest"].effect == "info"


async def test_the_whole_inspection_stores_nothing(velero: VeleroClient, kube: KubeClient) -> None:
    """A healthy cluster has nothing that refuses or waits."""
    await kube.apply(NAMESPACES, namespace_manifest(SETTINGS))
    found = await inspect_cluster(kube, SETTINGS)
    assert {finding.effect for finding in found} <= {"list", "info"}
    assert await velero.list_backups() == []
