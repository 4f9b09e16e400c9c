"""Deleting backups, and finding again those that only the bucket knows."""

from functools import partial
from typing import Any

from app.kubernetes.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from app.storage import layout
from app.velero.bodies import custom_resource
from app.velero.models import (
    BACKUP_NAME_LABEL,
    BACKUP_STORAGE_LOCATIONS,
    BACKUP_UID_LABEL,
    BACKUPS,
    DELETE_BACKUP_REQUESTS,
    RESTORES,
    STORAGE_LOCATION_LABEL,
)
from app.velero.stack.freshness import VELERO_PODS
from tests.contract.velero import VELERO, a_name, backup, config_map, document, ended, keys, phase, restore
from tests.contract.world import World
from tests.waiting import eventually


async def delete(world: World, of: dict[str, Any]) -> None:
    """Ask Velero to delete a backup, as its own CLI does, and wait until it is gone."""
    name, uid = of["metadata"]["name"], of["metadata"]["uid"]
    labels = {BACKUP_NAME_LABEL: name, BACKUP_UID_LABEL: uid}
    request = custom_resource(DELETE_BACKUP_REQUESTS, VELERO, a_name("delete"), {"backupName": name}, labels)
    await world.kube.create(DELETE_BACKUP_REQUESTS, request, VELERO)
    await world.kube.wait_for(BACKUPS, name, VELERO, lambda found: found is None, timeout_seconds=40)


async def test_a_deletion_takes_object_and_files(awake: World, namespace: str) -> None:
    """The Backup's disappearance is the sign; its request goes too."""
    made = await backup(awake, namespace)
    await delete(awake, made)
    assert await keys(awake, layout.backup_prefix(made["metadata"]["name"])) == set()
    left = (await awake.kube.list(DELETE_BACKUP_REQUESTS, VELERO)).items
    assert [each for each in left if each["spec"]["backupName"] == made["metadata"]["name"]] == []


async def test_a_deletion_takes_the_restores_of_the_backup_along(awake: World, namespace: str) -> None:
    """And their files."""
    made = await backup(awake, namespace)
    name = (await restore(awake, made))["metadata"]["name"]
    await delete(awake, made)
    assert await awake.kube.find(RESTORES, name, VELERO) is None
    assert await keys(awake, f"restores/{name}/") == set()


async def test_a_posted_backup_of_another_cluster_can_be_deleted(awake: World, namespace: str) -> None:
    """That is how old backups are pruned in a cluster that was made anew."""
    name = (await backup(awake, namespace))["metadata"]["name"]
    await awake.kube.delete(BACKUPS, name, VELERO)
    await awake.velero.import_backup(await document(awake, layout.metadata_key(name)))
    await delete(awake, await awake.kube.get(BACKUPS, name, VELERO))
    assert await keys(awake, layout.backup_prefix(name)) == set()


async def test_a_deletion_of_an_unknown_backup_says_so(awake: World) -> None:
    """The request is processed with an error in it, and stays."""
    name = a_name("delete")
    request = custom_resource(DELETE_BACKUP_REQUESTS, VELERO, name, {"backupName": "never-made"})
    await awake.kube.create(DELETE_BACKUP_REQUESTS, request, VELERO)
    found = await awake.kube.wait_for(
        DELETE_BACKUP_REQUESTS, name, VELERO, lambda one: phase(one or {}) == "Processed", timeout_seconds=30
    )
    assert found is not None
    assert "not found" in " ".join(found["status"]["errors"])
    await awake.kube.delete(DELETE_BACKUP_REQUESTS, name, VELERO)


async def test_deleting_the_object_alone_keeps_the_files(awake: World, namespace: str) -> None:
    """A plain DELETE is no deletion of a backup."""
    name = (await backup(awake, namespace))["metadata"]["name"]
    before = await keys(awake, layout.backup_prefix(name))
    await awake.kube.delete(BACKUPS, name, VELERO)
    assert await keys(awake, layout.backup_prefix(name)) == before


async def test_a_server_that_finds_its_location_available_syncs_at_once(awake: World, namespace: str) -> None:
    """A backup only the bucket knows becomes an object, and is not run again; otherwise that takes a minute."""
    made = await backup(awake, namespace)
    name = made["metadata"]["name"]
    await awake.kube.delete(BACKUPS, name, VELERO)
    await forget_sync(awake)
    await awake.restart_velero()
    found = await awake.kube.wait_for(BACKUPS, name, VELERO, lambda one: one is not None, timeout_seconds=20)
    assert found is not None
    assert phase(found) == "Completed"
    assert found["status"]["completionTimestamp"] == made["status"]["completionTimestamp"]
    assert found["metadata"]["labels"][STORAGE_LOCATION_LABEL] == "default"
    assert found["metadata"]["uid"] != made["metadata"]["uid"]


async def test_a_backup_whose_files_are_gone_goes_with_the_next_sync(awake: World, namespace: str) -> None:
    """What Velero lists is what the bucket has."""
    name = (await backup(awake, namespace))["metadata"]["name"]
    await awake.store.delete(await keys(awake, layout.backup_prefix(name)))
    await forget_sync(awake)
    await awake.restart_velero()
    await awake.kube.wait_for(BACKUPS, name, VELERO, lambda found: found is None, timeout_seconds=20)


async def test_what_waits_for_velero_is_done_when_it_comes_up(awake: World, namespace: str) -> None:
    """A Backup and a Restore posted while no server ran: that is why a wake looks at them first."""
    await config_map(awake, namespace)
    made = await backup(awake, namespace)
    await awake.kube.delete(CONFIG_MAPS, "settings", namespace)
    await scale_velero(awake, 0)
    for resource, spec in ((BACKUPS, {"includedNamespaces": [namespace]}), (RESTORES, of(made))):
        await awake.kube.create(resource, custom_resource(resource, VELERO, f"waiting-{namespace}", spec), VELERO)
    await scale_velero(awake, 1)
    for resource in (BACKUPS, RESTORES):
        found = await ended(awake, resource, f"waiting-{namespace}")
        assert phase(found) == "Completed", found["status"]
    assert await awake.kube.find(CONFIG_MAPS, "settings", namespace) is not None


def of(made: dict[str, Any]) -> dict[str, Any]:
    """The specification of a Restore of that Backup."""
    return {"backupName": made["metadata"]["name"]}


async def forget_sync(world: World) -> None:
    """Makes the next tick due, whenever the last sync was: within its period a start does not sync again."""
    await world.kube.merge_patch(BACKUP_STORAGE_LOCATIONS, "default", {"status": {"lastSyncedTime": None}}, VELERO)


async def scale_velero(world: World, replicas: int) -> None:
    """Only the server goes; MinIO stays."""
    await world.kube.merge_patch(DEPLOYMENTS, "velero", {"spec": {"replicas": replicas}}, VELERO)
    if replicas == 0:
        await eventually(partial(no_server, world))


async def no_server(world: World) -> bool:
    """Whether its last pod is gone."""
    return not (await world.kube.list(PODS, VELERO, label_selector=VELERO_PODS)).items
