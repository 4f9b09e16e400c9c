"""The client over the wire; the tests themselves write the statuses that Velero would write."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.errors import BackupFailed, RestoreFailed, StepTimeout
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import CONFIG_MAPS, Resource
from app.velero.client import VeleroClient
from app.velero.errors import BackupDeletionFailed
from app.velero.models import BACKUPS, DELETE_BACKUP_REQUESTS, POD_VOLUME_BACKUPS, RESTORES, Backup
from app.velero.restoring import RestorePlan
from app.velero.scope import FULL, Scope

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
WAIT_SECONDS = 20
RESTORE = RestorePlan({"version": "v1"}, {"backupName": "b"})


async def adopt(velero: VeleroClient, name: str, scope: Scope = FULL, **changes: Any) -> Backup:
    """The Backup of job ``j``, try 1."""
    wish: dict[str, Any] = {
        "job_id": "j",
        "try_number": 1,
        "instance_id": "i",
        "created_not_before": LONG_AGO,
    } | changes
    return await velero.adopt_or_create_backup(name, scope, **wish)


async def say(kube: KubeClient, resource: Resource, name: str, **status: Any) -> None:
    """What Velero would write into the status."""
    await kube.merge_patch(resource, name, {"status": status}, "velero")


async def until_there(kube: KubeClient, resource: Resource) -> dict[str, Any]:
    """The first object of a type."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not (found := (await kube.list(resource, "velero")).items):
            await asyncio.sleep(0.02)
    return found[0]


async def test_the_same_try_adopts_its_own_backup(velero: VeleroClient) -> None:
    """A step that runs twice makes one Backup, also after Velero has completed the specification."""
    first = await adopt(velero, "adopted")
    assert (await adopt(velero, "adopted")).uid == first.uid
    assert first.metadata.labels["kecs-state.dev/scope"] == "full"


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("other-job", {"job_id": "k"}),
        ("other-try", {"try_number": 2}),
        ("other-scope", {"scope": Scope(namespaces=["web"], partial=True)}),
        ("too-old", {"created_not_before": datetime.now(UTC) + timedelta(days=1)}),
    ],
)
async def test_only_this_very_try_is_adopted(velero: VeleroClient, name: str, changes: dict[str, Any]) -> None:
    """Another job, try, specification or time means another backup."""
    await adopt(velero, name)
    with pytest.raises(BackupFailed, match="has not made"):
        await adopt(velero, name, **changes)


async def test_the_policy_is_there_before_the_backup_refers_to_it(velero: VeleroClient, kube: KubeClient) -> None:
    """Velero fails the validation of a Backup whose policy is missing."""
    backup = await adopt(velero, "with-policy")
    reference = (await kube.get(BACKUPS, backup.name, "velero"))["spec"]["resourcePolicy"]
    assert reference["kind"] == "configmap"
    assert "namespacedFilterPolicies" in (await kube.get(CONFIG_MAPS, reference["name"], "velero"))["data"]["policy"]


async def test_waiting_reports_progress_and_returns_the_end(velero: VeleroClient, kube: KubeClient) -> None:
    """The caller judges the phase; any end is returned."""
    await adopt(velero, "watched")
    seen: list[tuple[str, int | None]] = []

    async def report(backup: Backup) -> None:
        seen.append((backup.phase, backup.status.progress.items_backed_up))
        if backup.phase == "":
            await say(kube, BACKUPS, "watched", phase="InProgress", progress={"totalItems": 9, "itemsBackedUp": 4})
        elif backup.phase == "InProgress":
            await say(kube, BACKUPS, "watched", phase="PartiallyFailed", errors=2, warnings=1)

    ended = await velero.wait_for_backup("watched", timeout_seconds=WAIT_SECONDS, on_progress=report)
    assert (ended.phase, ended.status.errors) == ("PartiallyFailed", 2)
    assert ("InProgress", 4) in seen


async def test_a_backup_that_disappears_has_failed(velero: VeleroClient, kube: KubeClient) -> None:
    """Nobody will ever end it."""
    await adopt(velero, "deleted")
    waiting = asyncio.create_task(velero.wait_for_backup("deleted", timeout_seconds=WAIT_SECONDS))
    await kube.delete(BACKUPS, "deleted", "velero")
    with pytest.raises(BackupFailed, match="was deleted"):
        await waiting


async def test_the_deadline_names_the_last_phase(velero: VeleroClient, kube: KubeClient) -> None:
    """So that a reader knows where it hung."""
    await adopt(velero, "slow")
    await say(kube, BACKUPS, "slow", phase="Queued")
    with pytest.raises(StepTimeout, match="it is Queued"):
        await velero.wait_for_backup("slow", timeout_seconds=0.3)


async def test_a_backup_stuck_before_its_start_is_edited(velero: VeleroClient, kube: KubeClient) -> None:
    """Velero ignores a ReadyToStart one it finds at its start until somebody edits it."""
    await adopt(velero, "stuck")
    await say(kube, BACKUPS, "stuck", phase="ReadyToStart")

    async def finish_when_edited(backup: Backup) -> None:
        if backup.metadata.annotations.get("kecs-state.dev/kicked-at"):
            await say(kube, BACKUPS, "stuck", phase="Completed")

    ended = await velero.wait_for_backup("stuck", timeout_seconds=WAIT_SECONDS, on_progress=finish_when_edited)
    assert ended.phase == "Completed"


async def test_a_backup_whose_name_was_taken_goes_without_its_namesake(velero: VeleroClient, kube: KubeClient) -> None:
    """A DeleteBackupRequest would delete the good backup in the bucket."""
    await adopt(velero, "taken")
    await say(kube, BACKUPS, "taken", phase="Failed", failureReason="backup already exists in object storage")
    ended = await velero.wait_for_backup("taken", timeout_seconds=WAIT_SECONDS)
    assert ended.failed_as_taken
    assert await velero.find_backup("taken") is None
    assert (await kube.list(DELETE_BACKUP_REQUESTS, "velero")).items == []


STORED = {
    "metadata": {"name": "imported", "uid": "of-another-cluster", "labels": {"kecs-state.dev/scope": "full"}},
    "spec": {"storageLocation": "elsewhere"},
    "status": {"phase": "Completed", "expiration": "2020-01-01T00:00:00Z"},
}


async def test_an_import_keeps_the_status_and_may_run_twice(velero: VeleroClient, kube: KubeClient) -> None:
    """A Restore may follow at once; the volumes belong to the new object."""
    volumes = [{"metadata": {"name": "imported-a"}, "spec": {}, "status": {"phase": "Completed"}}]
    first = await velero.import_backup(STORED, volumes)
    assert (await velero.import_backup(STORED, volumes)).uid == first.uid
    assert first.phase == "Completed"
    volume = await kube.get(POD_VOLUME_BACKUPS, "imported-a", "velero")
    assert volume["metadata"]["labels"]["velero.io/backup-uid"] == first.uid


async def test_a_backup_that_never_ended_is_not_imported(velero: VeleroClient) -> None:
    """Velero would run it as a new one."""
    with pytest.raises(BackupFailed, match="never ended"):
        await velero.import_backup({"metadata": {"name": "half"}, "status": {"phase": "InProgress"}})


async def test_a_deletion_is_done_when_the_backup_is_gone(velero: VeleroClient, kube: KubeClient) -> None:
    """The request itself may vanish before anybody reads it."""
    backup = await adopt(velero, "victim")
    deleting = asyncio.create_task(velero.delete_backup("victim", timeout_seconds=WAIT_SECONDS))
    request = await until_there(kube, DELETE_BACKUP_REQUESTS)
    assert request["metadata"]["labels"]["velero.io/backup-uid"] == backup.uid
    await kube.delete(DELETE_BACKUP_REQUESTS, request["metadata"]["name"], "velero")
    await kube.delete(BACKUPS, "victim", "velero")
    await deleting
    await velero.delete_backup("victim", timeout_seconds=1)


async def test_a_deletion_that_velero_refuses_says_why(velero: VeleroClient, kube: KubeClient) -> None:
    """With Velero's own words."""
    await adopt(velero, "kept")
    deleting = asyncio.create_task(velero.delete_backup("kept", timeout_seconds=WAIT_SECONDS))
    name = (await until_there(kube, DELETE_BACKUP_REQUESTS))["metadata"]["name"]
    await say(kube, DELETE_BACKUP_REQUESTS, name, phase="Processed", errors=["location is read-only"])
    with pytest.raises(BackupDeletionFailed, match="read-only"):
        await deleting
    await kube.delete(DELETE_BACKUP_REQUESTS, name, "velero")


async def test_a_restore_takes_its_policy_along_and_away(velero: VeleroClient, kube: KubeClient) -> None:
    """Policies of restores name objects, so they do not pile up."""
    restore = await velero.create_restore("r", RESTORE, job_id="j")
    assert restore.spec.resource_policy is not None
    policy = restore.spec.resource_policy.name
    assert await kube.find(CONFIG_MAPS, policy, "velero") is not None
    await say(kube, RESTORES, "r", phase="Completed")
    assert (await velero.wait_for_restore("r", timeout_seconds=WAIT_SECONDS)).phase == "Completed"
    assert await kube.find(CONFIG_MAPS, policy, "velero") is None


async def test_a_restore_of_another_job_is_not_adopted(velero: VeleroClient) -> None:
    """The same job gets its own back."""
    first = await velero.create_restore("mine", RESTORE, job_id="j")
    assert (await velero.create_restore("mine", RESTORE, job_id="j")).uid == first.uid
    with pytest.raises(RestoreFailed, match="has not made"):
        await velero.create_restore("mine", RESTORE, job_id="k")


async def test_a_restore_that_came_before_veleros_cache_is_made_again(velero: VeleroClient, kube: KubeClient) -> None:
    """Velero looks the Backup up in a cache that may be a moment behind."""
    first = await velero.create_restore("early", RESTORE, job_id="j")
    await say(kube, RESTORES, "early", phase="FailedValidation", validationErrors=['backup "b" not found'])
    uids: set[str] = set()

    async def answer(restore: Any) -> None:
        uids.add(restore.uid)
        if restore.uid != first.uid and restore.phase == "":
            await say(kube, RESTORES, "early", phase="Completed")

    ended = await velero.wait_for_restore("early", timeout_seconds=WAIT_SECONDS, on_progress=answer)
    assert ended.phase == "Completed"
    assert len(uids) == 2


async def test_unfinished_work_is_told_apart(velero: VeleroClient, kube: KubeClient) -> None:
    """Ours carries the job; what has ended, or waits for nothing, is not listed."""
    await adopt(velero, "unfinished", job_id="job-7")
    await velero.create_restore("done", RESTORE, job_id="j")
    await say(kube, RESTORES, "done", phase="Completed")
    body = {
        "apiVersion": "velero.io/v1",
        "kind": "DeleteBackupRequest",
        "metadata": {"name": "somebodys", "namespace": "velero"},
        "spec": {"backupName": "x"},
    }
    await kube.create(DELETE_BACKUP_REQUESTS, body, "velero")
    found = {work.name: work for work in await velero.unfinished()}
    assert (found["unfinished"].ours, found["unfinished"].job_id) == (True, "job-7")
    assert (found["somebodys"].kind, found["somebodys"].ours) == ("DeleteBackupRequest", False)
    assert "done" not in found
    await kube.delete(DELETE_BACKUP_REQUESTS, "somebodys", "velero")
