"""The Velero CLI: a person who woke the stack can work with it as with any Velero."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.kubernetes.resources import CONFIG_MAPS
from app.velero.models import BACKUP_STORAGE_LOCATIONS, RESTORES
from tests.contract.conftest import Programs
from tests.contract.world import World
from tests.tools import Tool
from tests.waiting import eventually

pytestmark = pytest.mark.tools


async def _set_public_url(world: World, url: str | None) -> None:
    patch = {"spec": {"config": {"publicUrl": url}}}
    await world.kube.merge_patch(BACKUP_STORAGE_LOCATIONS, "default", patch, "velero")


@pytest.fixture
async def velero(awake: World, programs: Programs) -> AsyncIterator[Tool]:
    """The CLI, and MinIO where the CLI can reach it."""
    tool = await programs.tool("velero", awake, "velero")
    await _set_public_url(awake, awake.s3_url)

    async def available() -> bool:
        location = await awake.kube.get(BACKUP_STORAGE_LOCATIONS, "default", "velero")
        return bool(location["status"].get("phase") == "Available")

    # What other tests put into the bucket for a moment makes Velero refuse it until it looks again.
    await eventually(available)
    yield tool
    await _set_public_url(awake, None)


@pytest.fixture
async def backup(velero: Tool, world: World, namespace: str) -> str:
    """A finished backup of one namespace with one object of ours."""
    await world.kube.create(CONFIG_MAPS, {"metadata": {"name": "kept"}, "data": {"a": "b"}}, namespace)
    arguments = ("--wait", "--include-namespaces", namespace, "--snapshot-volumes=false")
    printed = await velero.ok("backup", "create", f"of-{namespace}", *arguments)
    assert "Backup completed with status: Completed" in printed
    return f"of-{namespace}"


@pytest.fixture
async def restore(velero: Tool, world: World, namespace: str, backup: str) -> str:
    """A finished restore of the object that had been deleted."""
    await world.kube.delete(CONFIG_MAPS, "kept", namespace)
    printed = await velero.ok("restore", "create", f"from-{backup}", "--from-backup", backup, "--wait")
    assert "Restore completed with status: Completed" in printed
    return f"from-{backup}"


async def test_version(velero: Tool) -> None:
    """The server answers a ServerStatusRequest with its version."""
    printed = await velero.ok("version")
    assert printed.count("Version: v1.18.3") == 2, printed


async def test_backup_location_get(velero: Tool) -> None:
    """The location is available and the default one."""
    row = (await velero.ok("backup-location", "get")).splitlines()[1].split()
    assert (row[0], row[3], row[-1]) == ("default", "Available", "true")


async def test_backup_get(velero: Tool, backup: str) -> None:
    """With its phase and location."""
    row = (await velero.ok("backup", "get", backup)).splitlines()[1].split()
    assert row[:4] == [backup, "Completed", "0", "0"]


async def test_backup_get_as_json(velero: Tool, backup: str) -> None:
    """The whole resource."""
    found = json.loads(await velero.ok("backup", "get", backup, "-o", "json"))
    assert found["status"]["phase"] == "Completed"


async def test_backup_describe(velero: Tool, namespace: str, backup: str) -> None:
    """Details come from the bucket: the list of what was saved."""
    printed = await velero.ok("backup", "describe", backup, "--details")
    assert "v1/ConfigMap:" in printed
    assert f"- {namespace}/kept" in printed


async def test_backup_logs(velero: Tool, backup: str) -> None:
    """The log of this backup, from the bucket."""
    assert f"backup=velero/{backup}" in await velero.ok("backup", "logs", backup)


async def test_backup_download(velero: Tool, backup: str, tmp_path: Path) -> None:
    """The archive, whole."""
    await velero.ok("backup", "download", backup, "--output", str(tmp_path / "backup.tar.gz"))
    assert (tmp_path / "backup.tar.gz").read_bytes()[:2] == b"\x1f\x8b"


async def test_backup_create_refuses_a_name_that_is_taken(velero: Tool, backup: str) -> None:
    """The backup that is there stays."""
    again = await velero.run("backup", "create", backup)
    assert again.code == 1
    assert "already exists" in again.err


async def test_restore_create(world: World, namespace: str, restore: str) -> None:
    """What was deleted is back."""
    assert (await world.kube.get(RESTORES, restore, "velero"))["status"]["phase"] == "Completed"
    assert (await world.kube.get(CONFIG_MAPS, "kept", namespace))["data"] == {"a": "b"}


async def test_restore_get(velero: Tool, backup: str, restore: str) -> None:
    """With its backup and phase."""
    row = (await velero.ok("restore", "get", restore)).splitlines()[1].split()
    assert row[:3] == [restore, backup, "Completed"]


async def test_restore_describe(velero: Tool, namespace: str, restore: str) -> None:
    """Details come from the bucket: what became of each object."""
    assert f"- {namespace}/kept(created)" in await velero.ok("restore", "describe", restore, "--details")


async def test_restore_logs(velero: Tool, restore: str) -> None:
    """The log of this restore, from the bucket."""
    assert f"restore=velero/{restore}" in await velero.ok("restore", "logs", restore)


async def test_backup_delete(velero: Tool, world: World, backup: str) -> None:
    """The backup goes from the cluster and from the bucket."""
    await velero.ok("backup", "delete", backup, "--confirm")

    async def gone() -> bool:
        return backup not in await velero.ok("backup", "get")

    await eventually(gone)
    assert await world.store.list_objects(f"backups/{backup}/") == []
