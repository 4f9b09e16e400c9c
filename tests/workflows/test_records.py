"""Rows for backups that only the host or an older backup can tell of."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.clusters.sandbox import SandboxClusters
from app.db import Database
from app.history.retention import OnHost
from app.host.config import InstanceConfig, MigrationRecord
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.jobs.repository import JobStore
from app.proof.archive import Archive, ArchivedObject
from app.proof.evidence import save_pin
from app.proof.index import INDEX_FILE, write_index
from app.proof.models import ObjectKey
from app.settings import Settings
from app.workflows.archives import lost_by_falling_back
from app.workflows.records import look_on_host, recall_backups
from app.workflows.world import World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A service's world over an empty home."""
    settings = Settings(driver="sandbox", sandbox_state_dir=tmp_path)
    async with Database.open(settings) as database:
        await database.migrate()
        yield World(settings, SandboxClusters(tmp_path), JobStore(database, "here"))


def directory_of(world: World) -> InstanceDirectory:
    """The instance's directory on the host."""
    return InstanceDirectory.open(world.settings.instances_directory, "demo")


async def test_what_minio_keeps_on_the_host_is_listed_without_waking_it(world: World) -> None:
    """MinIO keeps each object as a directory below its bucket; when it was made is the directory's time."""
    stored = directory_of(world).minio_directory / "velero" / "backups" / "old" / "velero-backup.json"
    stored.mkdir(parents=True)
    os.utime(stored.parent, (1_700_000_000, 1_700_000_000))
    await recall_backups(world, "demo")
    (row,) = await world.store.backups.kept("demo")
    assert (row.name, row.status, row.scope, row.instance_id) == ("old", "unproven", "unknown", "")
    assert row.created_at.timestamp() == 1_700_000_000


async def test_recalling_twice_changes_nothing(world: World) -> None:
    """Every start of the service does it."""
    (directory_of(world).minio_directory / "velero" / "backups" / "old").mkdir(parents=True)
    for _ in range(2):
        await recall_backups(world, "demo")
    assert len(await world.store.backups.kept("demo")) == 1


async def test_a_link_in_the_store_is_no_backup(world: World, tmp_path: Path) -> None:
    """Nothing is followed out of the instance's directory."""
    backups = directory_of(world).minio_directory / "velero" / "backups"
    backups.mkdir(parents=True)
    (backups / "elsewhere").symlink_to(tmp_path)
    await recall_backups(world, "demo")
    assert await world.store.backups.kept("demo") == []


def archive(**versions: str) -> Archive:
    """Config maps by name, each with its version."""
    return Archive(
        {
            ObjectKey(resource="configmaps", namespace="web", name=name): ArchivedObject("u", version, "", "")
            for name, version in versions.items()
        }
    )


def keep_index(directory: InstanceDirectory, backup: str, content: Archive) -> None:
    """As a proof does."""
    directory.make(directory.proofs_directory / backup)
    directory.write(directory.proofs_directory / backup / INDEX_FILE, write_index(content))


def test_falling_back_says_what_the_newer_backup_had(tmp_path: Path) -> None:
    """Objects by name, newer content by number."""
    directory = InstanceDirectory.open(tmp_path, "demo")
    keep_index(directory, "newer", archive(same="1", changed="9", added="8"))
    keep_index(directory, "older", archive(same="1", changed="2", removed="3"))
    assert lost_by_falling_back(directory, "newer", "older") == ["configmaps web/added", "newer content of 1 objects"]


def test_falling_back_without_an_index_says_so_in_general(tmp_path: Path) -> None:
    """The older backup may be from before indexes were kept."""
    directory = InstanceDirectory.open(tmp_path, "demo")
    assert lost_by_falling_back(directory, "newer", "older") == ["everything that changed after older"]


async def test_a_history_is_told_what_the_directory_still_needs(world: World) -> None:
    """Backups that something refers to, and those of which anything is left: a proof, a pin, or data."""
    assert await look_on_host(world, "demo") is None
    directory = directory_of(world)
    (directory.minio_directory / "velero" / "backups" / "stored").mkdir(parents=True)
    assert await look_on_host(world, "demo") == OnHost(due=frozenset(), present=frozenset({"stored"}))
    save_pin(directory, "pinned", pinned=True)
    at = datetime.now(UTC)
    directory.save_config(
        InstanceConfig(
            instance_id="i",
            created_at=at,
            restore_outstanding="outstanding",
            restore_pending="pending",
            migration=MigrationRecord(at=at, backup="switched", previous=None),
        )
    )
    found = await look_on_host(world, "demo")
    assert found == OnHost(
        due=frozenset({"outstanding", "pending", "switched"}), present=frozenset({"stored", "pinned"})
    )


async def test_a_history_is_not_told_anything_of_a_broken_record(world: World) -> None:
    """Then nothing of that instance is removed."""
    directory_of(world).path.mkdir(parents=True)
    directory_of(world).config_path.write_text("{")
    with pytest.raises(HostDirectoryError):
        await look_on_host(world, "demo")
