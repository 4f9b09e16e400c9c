"""Start-up, storage locations, sync, deletion, expiry, and the two kinds of requests."""

import gzip
import json
import signal
import zlib

import aiohttp
import pytest

from app.sandbox.objects import name_of, phase_of
from app.sandbox.velero import kinds
from app.sandbox.velero.archive import ArchiveKey, read_archive
from tests.sandbox.velero.conftest import CONFIG_MAPS, CRDS, SECRETS, Velero


async def import_body(velero: Velero, name: str, **status: str) -> dict[str, object]:
    """A backup's CR as the bucket knows it, ready to be created again."""
    stored = json.loads(await velero.s3.get(f"backups/{name}/velero-backup.json"))
    labels = {"velero.io/storage-location": "default"}
    return {"metadata": {"labels": labels}, "spec": stored["spec"], "status": stored["status"] | status}


async def test_start_makes_the_repository_secret_and_names_itself(velero: Velero) -> None:
    """The secret is Velero's own default; the log says what this process is."""
    await velero.start()
    secret = await velero.api.get(SECRETS, "velero-repo-credentials", velero.namespace)
    assert secret["data"] == {"repository-password": "c3RhdGljLXBhc3N3MHJk"}
    assert "Sandbox Velero emulator" in velero.log.splitlines()[0]


async def test_a_missing_kind_ends_the_process(velero: Velero) -> None:
    """As in a cluster where not every definition has been applied."""
    definition = kinds.custom_resource_definition(kinds.DATA_UPLOADS)
    await velero.api.delete(CRDS, name_of(definition))
    try:
        await velero.launch()
        assert velero.process is not None
        assert await velero.process.wait() == 1
        assert "DataUpload" in velero.log
    finally:
        await velero.api.create(CRDS, definition)


async def test_sigterm_ends_it_in_order(velero: Velero) -> None:
    """Exit status 0, nothing left to do."""
    await velero.start()
    assert await velero.stop(signal.SIGTERM) == 0


async def test_a_foreign_directory_makes_the_location_unavailable(velero: Velero) -> None:
    """Loose objects in the root are tolerated, other directories are not."""
    await velero.s3.put("loose", b"1")
    await velero.start()
    await velero.s3.put("foreign/object", b"1")
    await velero.api.merge_patch(
        kinds.BACKUP_STORAGE_LOCATIONS, "default", {"spec": {"validationFrequency": "6s"}}, velero.namespace
    )
    found = await velero.until(kinds.BACKUP_STORAGE_LOCATIONS, "default", lambda it: phase_of(it) == "Unavailable")
    assert "invalid top-level directories: [foreign]" in found["status"]["message"]


async def test_an_unknown_host_is_told_and_a_changed_spec_validates_again(velero: Velero) -> None:
    """The endpoints file is read anew each time."""
    (velero.directory / "endpoints.json").write_text("{}")
    await velero.launch()
    found = await velero.until(kinds.BACKUP_STORAGE_LOCATIONS, "default", lambda it: bool(phase_of(it)))
    assert "lookup minio.velero.svc: no such host" in found["status"]["message"]
    (velero.directory / "endpoints.json").write_text(
        json.dumps({"minio.velero.svc:9000": velero.s3_url.removeprefix("http://")})
    )
    await velero.api.merge_patch(
        kinds.BACKUP_STORAGE_LOCATIONS, "default", {"spec": {"validationFrequency": "6s"}}, velero.namespace
    )
    await velero.until(kinds.BACKUP_STORAGE_LOCATIONS, "default", lambda it: phase_of(it) == "Available")


async def test_sync_at_start_when_the_location_is_available_already(velero: Velero) -> None:
    """The first tick imports what only the bucket knows, with its status."""
    await velero.start()
    await velero.backup("first")
    await velero.stop()
    await velero.api.delete(kinds.BACKUPS, "first", velero.namespace)
    await velero.launch()
    backup = await velero.until(kinds.BACKUPS, "first", lambda it: phase_of(it) == "Completed")
    assert backup["spec"]["storageLocation"] == "default"


async def test_sync_removes_a_backup_the_bucket_no_longer_has(velero: Velero) -> None:
    """Only finished ones of this location; one that runs has no objects yet."""
    labels = {"velero.io/storage-location": "default"}
    for name, phase in (("orphan", "Completed"), ("failed", "Failed")):
        await velero.create(kinds.BACKUPS, name, metadata={"labels": labels}, spec={}, status={"phase": phase})
    available = {"status": {"phase": "Available"}}
    await velero.api.merge_patch(kinds.BACKUP_STORAGE_LOCATIONS, "default", available, velero.namespace)
    await velero.launch()
    await velero.until_gone(kinds.BACKUPS, "orphan")
    assert await velero.api.find(kinds.BACKUPS, "failed", velero.namespace) is not None


async def test_an_imported_backup_can_be_restored_from_and_deleted(velero: Velero) -> None:
    """The CR made by hand counts as any other; deletion leaves neither a name in the bucket nor a request."""
    await velero.start("--disable-controllers=gc,schedule,backup-sync")
    await velero.add(CONFIG_MAPS, "cart")
    await velero.backup("first")
    body = await import_body(velero, "first")
    await velero.api.delete(kinds.BACKUPS, "first", velero.namespace)
    await velero.create(kinds.BACKUPS, "first", **body)
    await velero.restore("again", "first")
    await velero.create(kinds.DELETE_BACKUP_REQUESTS, "first-1", spec={"backupName": "first"})
    await velero.until_gone(kinds.BACKUPS, "first")
    await velero.until_gone(kinds.DELETE_BACKUP_REQUESTS, "first-1")
    await velero.until_gone(kinds.RESTORES, "again")
    assert await velero.s3.keys("") == []
    assert await velero.s3.names_below("backups/") == await velero.s3.names_below("restores/") == []


async def test_a_request_for_an_unknown_backup_is_processed_with_errors(velero: Velero) -> None:
    """It stays, so that somebody can read why."""
    await velero.start()
    await velero.create(kinds.DELETE_BACKUP_REQUESTS, "none-1", spec={"backupName": "none"})
    request = await velero.until(kinds.DELETE_BACKUP_REQUESTS, "none-1", lambda it: phase_of(it) == "Processed")
    assert request["status"]["errors"] == ["backup not found"]


@pytest.mark.parametrize("disabled", [True, False], ids=["gc off", "gc on"])
async def test_an_expired_backup_is_collected_unless_gc_is_disabled(velero: Velero, *, disabled: bool) -> None:
    """Expiration counts from status alone, also for an imported CR."""
    await velero.start(
        *(["--disable-controllers=gc,backup-sync"] if disabled else ["--disable-controllers=backup-sync"])
    )
    await velero.backup("first")
    body = await import_body(velero, "first", expiration="2020-01-01T00:00:00Z")
    await velero.api.delete(kinds.BACKUPS, "first", velero.namespace)
    await velero.create(kinds.BACKUPS, "first", **body)
    if disabled:
        await velero.backup("second")
        assert await velero.api.find(kinds.BACKUPS, "first", velero.namespace) is not None
    else:
        await velero.until_gone(kinds.BACKUPS, "first")


async def test_a_download_request_gets_a_url_that_works(velero: Velero) -> None:
    """Signed for the store's address, valid without keys."""
    await velero.start()
    await velero.backup("first")
    target = {"kind": "BackupContents", "name": "first"}
    await velero.create(kinds.DOWNLOAD_REQUESTS, "download", spec={"target": target})
    request = await velero.until(kinds.DOWNLOAD_REQUESTS, "download", lambda it: phase_of(it) == "Processed")
    async with aiohttp.ClientSession() as session, session.get(request["status"]["downloadURL"]) as answer:
        assert (await answer.read())[:2] == b"\x1f\x8b"


async def test_downloads_are_signed_for_the_public_address(velero: Velero) -> None:
    """Where the location has one; the host is part of what is signed."""
    await velero.start()
    await velero.backup("first")
    config = {"spec": {"config": {"publicUrl": "http://127.0.0.1:9"}}}
    await velero.api.merge_patch(kinds.BACKUP_STORAGE_LOCATIONS, "default", config, velero.namespace)
    target = {"kind": "BackupLog", "name": "first"}
    await velero.create(kinds.DOWNLOAD_REQUESTS, "download", spec={"target": target})
    request = await velero.until(kinds.DOWNLOAD_REQUESTS, "download", lambda it: phase_of(it) == "Processed")
    assert request["status"]["downloadURL"].startswith("http://127.0.0.1:9/")


async def test_a_public_address_that_is_none_makes_the_location_unavailable(velero: Velero) -> None:
    """As the plugin says it."""
    await velero.start()
    config = {"spec": {"config": {"publicUrl": "minio:9000"}}}
    await velero.api.merge_patch(kinds.BACKUP_STORAGE_LOCATIONS, "default", config, velero.namespace)
    found = await velero.until(kinds.BACKUP_STORAGE_LOCATIONS, "default", lambda it: phase_of(it) == "Unavailable")
    assert "Invalid publicUrl minio:9000" in found["status"]["message"]


@pytest.mark.parametrize(
    ("how", "missing"),
    [
        ("metadata-missing", "velero-backup.json"),
        ("object-missing", "first-results.gz"),
        ("tar-missing", "first.tar.gz"),
    ],
)
async def test_objects_taken_away_before_completed_is_said(velero: Velero, how: str, missing: str) -> None:
    """The CR says Completed all the same."""
    velero.switch(damage_backup={"how": how})
    await velero.start("--disable-controllers=backup-sync")
    assert phase_of(await velero.backup("first")) == "Completed"
    assert f"backups/first/{missing}" not in await velero.s3.keys("backups/first/")


async def test_the_bucket_can_be_left_saying_finalizing(velero: Velero) -> None:
    """The trap of a metadata upload that failed."""
    velero.switch(damage_backup={"how": "metadata-finalizing"})
    await velero.start()
    assert phase_of(await velero.backup("first")) == "Completed"
    stored = json.loads(await velero.s3.get("backups/first/velero-backup.json"))
    assert stored["status"]["phase"] == "Finalizing"


@pytest.mark.parametrize("phase", ["PartiallyFailed", "Failed"])
async def test_a_backup_can_be_made_to_end_badly(velero: Velero, phase: str) -> None:
    """Both bad ends are uploaded, as the real server does."""
    velero.switch(backup_phase=phase)
    await velero.start()
    assert phase_of(await velero.backup("first")) == phase
    stored = json.loads(await velero.s3.get("backups/first/velero-backup.json"))
    assert stored["status"]["phase"] == phase


async def test_a_store_that_is_down_fails_the_backup(velero: Velero) -> None:
    """The location still says Available; the backup says what it met."""
    await velero.start()
    (velero.directory / "endpoints.json").write_text(json.dumps({"minio.velero.svc:9000": "127.0.0.1:9"}))
    backup = await velero.backup("first")
    assert phase_of(backup) == "Failed"
    assert "error checking if backup already exists" in backup["status"]["failureReason"]


@pytest.mark.parametrize("how", ["tar-overwritten", "tar-bit-flipped"])
async def test_bytes_changed_in_the_tarball(velero: Velero, how: str) -> None:
    """The object keeps its size and can no longer be read as what it was."""
    velero.switch(damage_backup={"how": how})
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart", data={"total": "7" * 4000})
    assert phase_of(await velero.backup("first")) == "Completed"
    with pytest.raises((OSError, zlib.error)):
        gzip.decompress(await velero.s3.get("backups/first/first.tar.gz"))


async def test_one_object_left_out_of_a_readable_tarball(velero: Velero) -> None:
    """Everything else is there, and the resource list still names it."""
    key = ArchiveKey("configmaps", velero.workload, "cart")
    velero.switch(damage_backup={"how": "item-missing", **key._asdict()})
    await velero.start()
    await velero.add(CONFIG_MAPS, "cart")
    await velero.add(CONFIG_MAPS, "other")
    await velero.backup("first")
    found = read_archive(await velero.s3.get("backups/first/first.tar.gz"))
    assert key not in found
    assert key._replace(name="other") in found


async def test_one_object_of_the_tarball_is_older_than_the_live_one(velero: Velero) -> None:
    """Its resourceVersion is lower; the rest of it is as it was."""
    key = ArchiveKey("configmaps", velero.workload, "cart")
    velero.switch(damage_backup={"how": "item-older", **key._asdict()})
    await velero.start()
    live = await velero.add(CONFIG_MAPS, "cart")
    backup = await velero.backup("first")
    assert phase_of(backup) == "Completed", backup["status"]
    saved = json.loads(read_archive(await velero.s3.get("backups/first/first.tar.gz"))[key])
    assert int(saved["metadata"]["resourceVersion"]) < int(live["metadata"]["resourceVersion"])
