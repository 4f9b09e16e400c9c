"""The record and the directories of one instance."""

import json
import stat
from pathlib import Path

import pytest
import yaml

from app.errors import InvalidInstanceName
from app.host.config import InstanceConfig
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.settings import StackSettings


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("name", ["..", "a/b", "", "Shop", "kecs-shop"])
def test_a_name_that_is_no_instances_never_becomes_a_path(tmp_path: Path, name: str) -> None:
    """The name comes from a URL."""
    with pytest.raises(InvalidInstanceName):
        InstanceDirectory.open(tmp_path, name)


def test_prepare_makes_private_directories_and_the_link(directory: InstanceDirectory) -> None:
    """Twice, as a resumed job does."""
    directory.prepare()
    directory.prepare()
    made = (directory.minio_directory, directory.credentials_directory, directory.proofs_directory)
    assert [mode(path) for path in made] == [0o700] * 3
    assert (directory.path / "minio-data").resolve() == directory.minio_directory


def test_prepare_describes_the_location_for_people(directory: InstanceDirectory) -> None:
    """With the names the settings give."""
    directory.prepare(StackSettings(namespace="backups", bucket="mine"))
    path = directory.credentials_directory / "backup-location.yaml"
    document = yaml.safe_load(path.read_text())
    assert document["kind"] == "BackupStorageLocation"
    assert document["spec"]["objectStorage"] == {"bucket": "mine"}
    assert document["spec"]["config"]["s3Url"] == "http://minio.backups.svc:9000"
    assert mode(path) == 0o600


def test_an_encrypted_location_says_so(directory: InstanceDirectory) -> None:
    """Only there, and in Velero's words."""
    for encrypted, said in ((True, "AES256"), (False, None)):
        directory.prepare(encrypted=encrypted)
        document = yaml.safe_load((directory.credentials_directory / "backup-location.yaml").read_text())
        assert document["spec"]["config"].get("serverSideEncryption") == said


@pytest.mark.parametrize("place", ["data/minio-data", "velero-config", "proofs"])
def test_prepare_refuses_a_link_in_the_place_of_a_directory(
    directory: InstanceDirectory, tmp_path: Path, place: str
) -> None:
    """Nothing is made where it leads."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (directory.path / place).symlink_to(outside)
    with pytest.raises(HostDirectoryError, match="link"):
        directory.prepare()
    assert list(outside.iterdir()) == []


def test_prepare_refuses_a_data_directory_that_is_a_link(tmp_path: Path) -> None:
    """A pod may have made it."""
    directory = InstanceDirectory.open(tmp_path / "instances", "shop")
    (tmp_path / "outside").mkdir()
    directory.path.mkdir(parents=True)
    directory.data.symlink_to(tmp_path / "outside")
    with pytest.raises(HostDirectoryError, match="link"):
        directory.prepare()
    assert list((tmp_path / "outside").iterdir()) == []


def test_an_unknown_instance_has_no_record(tmp_path: Path) -> None:
    """And asking makes nothing."""
    assert InstanceDirectory.open(tmp_path, "shop").load_config() is None
    assert list(tmp_path.iterdir()) == []


def test_the_record_comes_back_as_it_was_saved(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """Private too: it is ours alone to write."""
    directory.save_config(config)
    assert directory.load_config() == config
    assert mode(directory.config_path) == 0o600


def test_unknown_keys_survive_a_change(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """A newer version's, at the top and in the policy."""
    document = config.model_dump(mode="json") | {"colour": "blue", "policy": {"keep_last": 3, "later": [1]}}
    directory.config_path.write_text(json.dumps(document))
    directory.update_config(cluster_uid="u-1")
    now = json.loads(directory.config_path.read_text())
    assert (now["colour"], now["policy"]["later"], now["cluster_uid"]) == ("blue", [1], "u-1")


def test_a_change_without_effect_writes_nothing(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """Reading an instance must not wear its disk."""
    directory.save_config(config)
    before = directory.config_path.stat().st_ino
    directory.update_config(cluster_uid=None)
    assert directory.config_path.stat().st_ino == before


@pytest.mark.parametrize("content", ["", "{", "[]", '{"version": 1}', '{"instance_id": 7, "created_at": "x"}', "\x00"])
def test_a_broken_record_is_named_and_kept(directory: InstanceDirectory, content: str) -> None:
    """Replacing it would forget which backups are due."""
    directory.config_path.write_text(content)
    with pytest.raises(HostDirectoryError) as raised:
        directory.update_config(cluster_uid="u-1")
    assert str(directory.config_path) in raised.value.detail
    assert raised.value.remedy
    assert directory.config_path.read_text() == content


def test_a_record_that_is_a_link_is_refused(
    directory: InstanceDirectory, config: InstanceConfig, tmp_path: Path
) -> None:
    """Even to a good record."""
    (tmp_path / "other.json").write_text(config.model_dump_json())
    directory.config_path.symlink_to(tmp_path / "other.json")
    with pytest.raises(HostDirectoryError, match="link"):
        directory.load_config()


def test_a_missing_record_cannot_be_changed(directory: InstanceDirectory) -> None:
    """There is nothing to keep of it."""
    with pytest.raises(HostDirectoryError, match="missing"):
        directory.update_config(cluster_uid="u-1")
