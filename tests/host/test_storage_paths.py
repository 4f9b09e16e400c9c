"""Where MinIO's data lies, on the node and on the host; and what is refused."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest

from app.errors import StorageMoved, StorageNotOnHost
from app.host.config import InstanceConfig, StorageRecord
from app.host.instance_directory import InstanceDirectory, owner_ids, storage_paths
from app.ports import Mount


def test_the_usual_mount_is_the_data_directory_under_its_own_name(directory: InstanceDirectory) -> None:
    """As KECS makes it."""
    record = storage_paths(directory, [Mount(str(directory.data), str(directory.data))])
    assert record == StorageRecord(node_path=str(directory.minio_directory), host_path=str(directory.minio_directory))


def test_another_path_on_the_node_is_translated(directory: InstanceDirectory) -> None:
    """The pod's hostPath is the node's word."""
    record = storage_paths(directory, [Mount("/srv", "/somewhere/else"), Mount("/kecs", str(directory.data))])
    assert record.node_path == "/kecs/minio-data"


def test_the_deepest_mount_counts(directory: InstanceDirectory) -> None:
    """It is what the node sees where two lie within each other."""
    record = storage_paths(directory, [Mount("/outer", str(directory.path)), Mount("/inner", str(directory.data))])
    assert record.node_path == "/inner/minio-data"


def test_a_mount_given_through_a_link_is_the_same_place(directory: InstanceDirectory, tmp_path: Path) -> None:
    """Docker resolves what a home directory hides."""
    (tmp_path / "alias").symlink_to(directory.data)
    assert storage_paths(directory, [Mount("/kecs", str(tmp_path / "alias"))]).node_path == "/kecs/minio-data"


@pytest.mark.parametrize("mounts", [None, [], [Mount("/data", "/somewhere/else")]])
def test_storage_that_would_die_with_the_node_is_refused(
    directory: InstanceDirectory, mounts: list[Mount] | None
) -> None:
    """Before anything is touched."""
    with pytest.raises(StorageNotOnHost) as raised:
        storage_paths(directory, mounts)
    assert str(directory.data) in raised.value.remedy
    assert not directory.minio_directory.exists()


def test_a_directory_that_is_a_link_out_of_the_mount_is_not_on_the_host(
    directory: InstanceDirectory, tmp_path: Path
) -> None:
    """The node would follow it into its own file system."""
    (tmp_path / "outside").mkdir()
    directory.minio_directory.symlink_to(tmp_path / "outside")
    with pytest.raises(StorageNotOnHost):
        storage_paths(directory, [Mount("/kecs", str(directory.data))])


def moved_storage(directory: InstanceDirectory, config: InstanceConfig, old: Path) -> list[Mount]:
    """Backups recorded in another place, and the mount as it is now."""
    (old / "velero" / "backups").mkdir(parents=True)
    (old / "velero" / "backups" / "xl.meta").write_bytes(b"precious")
    storage = StorageRecord(node_path="/kecs/minio-data", host_path=str(old))
    directory.save_config(config.model_copy(update={"storage": storage}))
    return [Mount("/kecs", str(directory.data))]


def test_moved_storage_is_refused_until_the_remedy_was_run(
    directory: InstanceDirectory, config: InstanceConfig, tmp_path: Path
) -> None:
    """The command in the problem is exact: after it, and only then, the new place is good."""
    mounts = moved_storage(directory, config, tmp_path / "old home" / "minio-data")
    with pytest.raises(StorageMoved) as raised:
        storage_paths(directory, mounts)
    for command in raised.value.remedy.removeprefix("Copy them: ").split(" && "):
        subprocess.run(shlex.split(command), check=True)
    assert storage_paths(directory, mounts).host_path == str(directory.minio_directory)


def test_a_copy_that_is_not_whole_is_refused(
    directory: InstanceDirectory, config: InstanceConfig, tmp_path: Path
) -> None:
    """An interrupted copy would lose backups."""
    old = tmp_path / "old"
    mounts = moved_storage(directory, config, old)
    (old / "velero" / "second").write_bytes(b"also precious")
    target = directory.minio_directory / "velero" / "backups"
    target.mkdir(parents=True)
    (target / "xl.meta").write_bytes(b"precious")
    with pytest.raises(StorageMoved):
        storage_paths(directory, mounts)


@pytest.mark.parametrize("place", ["empty", "never-made"])
def test_an_old_place_without_data_is_no_hindrance(
    directory: InstanceDirectory, config: InstanceConfig, tmp_path: Path, place: str
) -> None:
    """Nothing can be lost of it."""
    (tmp_path / "empty").mkdir()
    storage = StorageRecord(node_path="/kecs/minio-data", host_path=str(tmp_path / place))
    directory.save_config(config.model_copy(update={"storage": storage}))
    assert storage_paths(directory, [Mount("/kecs", str(directory.data))])


def test_minio_runs_under_the_owner_of_the_directory(directory: InstanceDirectory) -> None:
    """So that the user can remove its files."""
    assert owner_ids(directory.path) == (os.getuid(), os.getgid())
