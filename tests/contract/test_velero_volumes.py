"""File-system backups of pod volumes: what the server and the node-agent write, and what a restored pod waits for."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.kubernetes.resources import JOBS, NAMESPACES, PODS
from app.velero.models import BACKUP_NAME_LABEL, BACKUP_REPOSITORIES, POD_VOLUME_BACKUPS, POD_VOLUME_RESTORES
from app.velero.repositories import maintain_repositories
from app.velero.stack.node_agent import remove_node_agent, wake_node_agent
from tests.contract.velero import VELERO, backup, document, restore
from tests.contract.world import World
from tests.real.images import BUSYBOX
from tests.waiting import eventually

SAVING = {"defaultVolumesToFsBackup": True}


@pytest.fixture
async def pod(awake: World, namespace: str) -> dict[str, Any]:
    """One that runs, with two volumes that can be saved, one that cannot, and one that need not."""
    mounts = [{"name": name, "mountPath": f"/{name}"} for name in ("one", "two", "node", "pod")]
    volumes = [
        {"name": "one", "emptyDir": {}},
        {"name": "two", "emptyDir": {}},
        {"name": "node", "hostPath": {"path": "/srv", "type": "DirectoryOrCreate"}},
        {"name": "pod", "downwardAPI": {"items": [{"path": "name", "fieldRef": {"fieldPath": "metadata.name"}}]}},
    ]
    container = {"name": "c", "image": BUSYBOX, "command": ["sleep", "86400"], "volumeMounts": mounts}
    spec = {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0}
    await awake.kube.create(PODS, {"metadata": {"name": "api"}, "spec": spec}, namespace)
    await running(awake, namespace)
    return await awake.kube.get(PODS, "api", namespace)


@pytest.fixture
async def saving(awake: World) -> AsyncIterator[World]:
    """With the product's node-agent, which goes again."""
    await wake_node_agent(awake.kube, awake.settings)
    yield awake
    await remove_node_agent(awake.kube, awake.settings)


async def running(world: World, namespace: str) -> None:
    """Until the pod does."""

    async def runs() -> bool:
        found = await world.kube.find(PODS, "api", namespace)
        return found is not None and (found.get("status") or {}).get("phase") == "Running"

    await eventually(runs)


async def saved_by(world: World, of: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The PodVolumeBackups of a Backup, by their volume."""
    label = f"{BACKUP_NAME_LABEL}={of['metadata']['name']}"
    found = (await world.kube.list(POD_VOLUME_BACKUPS, VELERO, label_selector=label)).items
    return {item["spec"]["volume"]: item for item in found}


async def test_without_a_node_agent_a_backup_of_volumes_fails_in_part(
    awake: World, namespace: str, pod: dict[str, Any]
) -> None:
    """Nothing is left out in silence."""
    assert pod["status"]["phase"] == "Running"
    made = await backup(awake, namespace, **SAVING)
    assert made["status"]["phase"] == "PartiallyFailed"
    assert await saved_by(awake, made) == {}


async def test_each_volume_of_a_running_pod_has_a_backup_of_its_own(
    saving: World, namespace: str, pod: dict[str, Any]
) -> None:
    """In the cluster, in the bucket's list of them, and in its list of volumes."""
    made = await backup(saving, namespace, **SAVING)
    saved = await saved_by(saving, made)
    assert (made["status"]["phase"], set(saved)) == ("Completed", {"one", "two"})
    one = saved["one"]
    assert one["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    assert (one["spec"]["pod"]["name"], one["spec"]["pod"]["uid"]) == ("api", pod["metadata"]["uid"])
    assert (one["status"]["phase"], bool(one["status"]["snapshotID"])) == ("Completed", True)
    name = made["metadata"]["name"]
    stored = await document(saving, f"backups/{name}/{name}-podvolumebackups.json.gz")
    assert {item["metadata"]["name"] for item in stored} == {item["metadata"]["name"] for item in saved.values()}
    told = await document(saving, f"backups/{name}/{name}-volumeinfo.json.gz")
    by_file = [entry for entry in told if entry["backupMethod"] == "PodVolumeBackup"]
    assert {(entry["pvbInfo"]["volumeName"], entry["result"]) for entry in by_file} == {
        ("one", "succeeded"), ("two", "succeeded"),
    }  # fmt: skip


async def test_a_restored_pod_waits_for_the_data_of_its_volumes(
    saving: World, namespace: str, pod: dict[str, Any]
) -> None:
    """In an init container; a PodVolumeRestore for each names the data and the new pod."""
    made = await backup(saving, namespace, **SAVING)
    await saving.kube.delete(NAMESPACES, namespace)
    await saving.kube.wait_for(NAMESPACES, namespace, None, lambda found: found is None, timeout_seconds=30)
    back = await restore(saving, made)
    await running(saving, namespace)
    found = await saving.kube.get(PODS, "api", namespace)
    assert back["status"]["phase"] == "Completed"
    assert found["metadata"]["uid"] != pod["metadata"]["uid"]
    assert [container["name"] for container in found["spec"]["initContainers"]] == ["restore-wait"]
    label = f"velero.io/restore-name={back['metadata']['name']}"
    restores = (await saving.kube.list(POD_VOLUME_RESTORES, VELERO, label_selector=label)).items
    saved = await saved_by(saving, made)
    assert {item["spec"]["volume"]: item["spec"]["snapshotID"] for item in restores} == {
        volume: item["status"]["snapshotID"] for volume, item in saved.items()
    }
    assert {(item["status"]["phase"], item["spec"]["pod"]["uid"]) for item in restores} == {
        ("Completed", found["metadata"]["uid"])
    }


async def test_a_repository_is_maintained_when_its_frequency_says_so(
    saving: World, namespace: str, pod: dict[str, Any]
) -> None:
    """By a Job of Velero's, of which nothing is left; then its own timer never rings."""
    assert pod["status"]["phase"] == "Running"
    await backup(saving, namespace, **SAVING)
    repository = f"{namespace}-default-kopia"
    assert repository in await maintain_repositories(saving.kube, VELERO, timeout_seconds=120)
    found = await saving.kube.get(BACKUP_REPOSITORIES, repository, VELERO)
    assert found["status"]["recentMaintenance"][-1]["result"] == "Succeeded"
    assert found["spec"]["maintenanceFrequency"] == "876000h0m0s"
    assert (await saving.kube.list(JOBS, VELERO)).items == []
