"""The node-agent: what it asks of the cluster, when it counts as there, and that it goes; and repositories' upkeep."""

import asyncio
from typing import Any

import pytest

from app.errors import StackNotReady, StepTimeout
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DAEMON_SETS, ENDPOINTS, JOBS, NAMESPACES
from app.settings import StackSettings
from app.velero.bodies import custom_resource
from app.velero.client import VeleroClient
from app.velero.models import BACKUP_REPOSITORIES
from app.velero.repositories import NEVER, NOW, RepositoryNotMaintained, maintain_repositories
from app.velero.stack.manifests import SERVER_ARGUMENTS
from app.velero.stack.node_agent import is_on_every_node, node_agent_manifest, remove_node_agent, wake_node_agent

SETTINGS = StackSettings(wake_timeout_seconds=10, kubelet_directory="/srv/kubelet")
REPOSITORY = "web-default-kopia"


def container() -> dict[str, Any]:
    """The DaemonSet's only one: the pods that move data inherit from it."""
    found: dict[str, Any] = node_agent_manifest(SETTINGS)["spec"]["template"]["spec"]["containers"][0]
    return found


def test_it_reads_where_the_kubelet_keeps_volumes_and_has_no_further_privilege() -> None:
    """Root, since files of any owner must be read; nothing more."""
    pod = node_agent_manifest(SETTINGS)["spec"]["template"]["spec"]
    assert pod["volumes"][0] == {"name": "host-pods", "hostPath": {"path": "/srv/kubelet/pods"}}
    assert pod["securityContext"] == {"runAsUser": 0}
    assert container()["securityContext"] == {"allowPrivilegeEscalation": False}


def test_it_finds_bucket_keys_and_node_by_its_environment() -> None:
    """By their references; no secret stands in the manifest."""
    names = {variable["name"] for variable in container()["env"]}
    assert {"NODE_NAME", "VELERO_NAMESPACE", "AWS_SHARED_CREDENTIALS_FILE"} <= names
    assert container()["imagePullPolicy"] == "IfNotPresent"


@pytest.mark.parametrize(
    ("status", "there"),
    [
        ({}, False),
        ({"desiredNumberScheduled": 0, "numberReady": 0}, False),
        ({"desiredNumberScheduled": 2, "numberReady": 1}, False),
        ({"desiredNumberScheduled": 2, "numberReady": 2}, True),
        ({"desiredNumberScheduled": 1, "numberReady": 1, "observedGeneration": 1}, False),
    ],
)
def test_it_is_there_when_every_node_has_it(status: dict[str, Any], there: bool) -> None:
    """Of the latest specification; no node at all is not enough."""
    assert is_on_every_node({"metadata": {"generation": 2}, "status": status}) is there


async def test_it_waits_for_names_to_be_answered_and_goes_without_a_trace(kube: KubeClient) -> None:
    """The pods that move data find MinIO by cluster DNS, which comes up late after a power-on."""
    dns = {"metadata": {"name": "kube-dns", "namespace": "kube-system"}, "subsets": []}
    await kube.create(NAMESPACES, {"metadata": {"name": "velero"}})
    await kube.create(ENDPOINTS, dns, "kube-system")
    waking = asyncio.create_task(wake_node_agent(kube, SETTINGS))
    await kube.wait_for(DAEMON_SETS, "node-agent", "velero", lambda found: found is not None, timeout_seconds=10)
    ready = {"status": {"desiredNumberScheduled": 1, "numberReady": 1}}
    path = DAEMON_SETS.path("velero", "node-agent", "status")
    await kube.transport.request("PATCH", path, body=ready, content_type="application/merge-patch+json")
    assert not waking.done()
    answering = {"subsets": [{"addresses": [{"ip": "10.0.0.9"}], "ports": [{"port": 53}]}]}
    await kube.merge_patch(ENDPOINTS, "kube-dns", answering, "kube-system")
    await waking
    await remove_node_agent(kube, SETTINGS)
    await remove_node_agent(kube, SETTINGS)
    assert await kube.find(DAEMON_SETS, "node-agent", "velero") is None


async def test_one_that_does_not_come_up_is_said_and_somebody_elses_is_left_alone(kube: KubeClient) -> None:
    """Neither changed nor removed."""
    theirs = node_agent_manifest(SETTINGS) | {"metadata": {"name": "node-agent", "namespace": "theirs"}}
    settings = StackSettings(namespace="theirs", wake_timeout_seconds=0.3)
    await kube.create(NAMESPACES, {"metadata": {"name": "theirs"}})
    made = await kube.create(DAEMON_SETS, theirs, "theirs")
    with pytest.raises(StackNotReady, match="node-agent was not up"):
        await wake_node_agent(kube, settings)
    await remove_node_agent(kube, settings)
    found = await kube.get(DAEMON_SETS, "node-agent", "theirs")
    assert found["metadata"]["generation"] == made["metadata"]["generation"]


async def add_repository(kube: KubeClient) -> None:
    """One that is ready."""
    body = custom_resource(BACKUP_REPOSITORIES, "velero", REPOSITORY, {"maintenanceFrequency": NEVER})
    await kube.create(BACKUP_REPOSITORIES, body | {"status": {"phase": "Ready"}}, "velero")


async def play_velero(kube: KubeClient, result: str) -> None:
    """Notice that maintenance is due, run a Job for it, and note its end."""
    await kube.wait_for(
        BACKUP_REPOSITORIES,
        REPOSITORY,
        "velero",
        lambda found: found is not None and found["spec"]["maintenanceFrequency"] == NOW,
        timeout_seconds=10,
    )
    containers = [{"name": "c", "image": "registry.invalid/x"}]
    template = {"spec": {"restartPolicy": "Never", "containers": containers}}
    metadata = {"name": f"job-{result.lower()}", "labels": {"velero.io/repo-name": REPOSITORY}}
    await kube.create(JOBS, {"metadata": metadata, "spec": {"template": template}}, "velero")
    path = JOBS.path("velero", metadata["name"], "status")
    await kube.transport.request(
        "PATCH", path, body={"status": {"failed": 1}}, content_type="application/merge-patch+json"
    )
    done = {"result": result, "message": "disk full", "startTimestamp": f"2026-01-01T00:00:0{len(result) % 10}Z"}
    await kube.merge_patch(BACKUP_REPOSITORIES, REPOSITORY, {"status": {"recentMaintenance": [done]}}, "velero")


async def test_repositories_are_maintained_when_a_job_asks_and_never_else(
    velero: VeleroClient, kube: KubeClient
) -> None:
    """The Jobs of it are removed, and Velero's own timer is off again however it ends."""
    assert velero
    assert f"--default-repo-maintain-frequency={NEVER}" in SERVER_ARGUMENTS
    await add_repository(kube)
    _, names = await asyncio.gather(
        play_velero(kube, "Succeeded"), maintain_repositories(kube, "velero", timeout_seconds=10)
    )
    playing = asyncio.create_task(play_velero(kube, "Failed"))
    with pytest.raises(RepositoryNotMaintained, match="disk full"):
        await maintain_repositories(kube, "velero", timeout_seconds=10)
    await playing
    with pytest.raises(StepTimeout):
        await maintain_repositories(kube, "velero", timeout_seconds=0.2)
    found = await kube.get(BACKUP_REPOSITORIES, REPOSITORY, "velero")
    assert (names, found["spec"]["maintenanceFrequency"]) == ([REPOSITORY], NEVER)
    assert (await kube.list(JOBS, "velero")).items == []
