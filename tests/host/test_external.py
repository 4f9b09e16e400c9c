"""Which store an instance's backups are in, by its record and the settings."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from app.errors import ExternalStoreNotConfigured
from app.host.config import ExternalRecord, InstanceConfig, StorageRecord
from app.host.external import external_in_use, external_keys, place_of
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.settings import ExternalStoreSettings

THERE = ExternalRecord(endpoint="https://s3.example.com", bucket="backups", prefix="team/shop")
INSIDE = StorageRecord(node_path="/kecs", host_path="/host")


def settings(**changes: Any) -> ExternalStoreSettings:
    """A store as the settings name it."""
    given = {
        "endpoint": "https://s3.example.com/",
        "bucket": "backups",
        "prefix": "team",
        "access_key": "us",
        "secret_key": "kept-quiet",
    }
    return ExternalStoreSettings.model_validate(given | changes)


def test_each_instance_has_a_place_of_its_own() -> None:
    """Below the prefix, or in the bucket's root."""
    assert place_of("shop", settings()) == THERE
    assert place_of("shop", settings(prefix="")).prefix == "shop"


def test_a_new_instance_goes_where_the_settings_say(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """Also one that nobody has recorded yet."""
    assert external_in_use(directory, config, settings()) == THERE
    assert external_in_use(directory, None, settings()) == THERE
    assert external_in_use(directory, config, None) is None


def test_what_a_minio_has_kept_is_not_lost_sight_of(directory: InstanceDirectory) -> None:
    """A lost record does not send the instance elsewhere."""
    (directory.minio_directory / "velero").mkdir(parents=True)
    assert external_in_use(directory, None, settings()) is None


def test_the_record_wins_over_new_settings(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """Only a move changes where an instance's backups lie."""
    config.storage = INSIDE
    assert external_in_use(directory, config, settings()) is None
    config.storage = THERE
    assert external_in_use(directory, config, settings()) == THERE


@pytest.mark.parametrize(
    "changed", [None, {"endpoint": "https://other.example.com"}, {"bucket": "another"}, {"prefix": "us"}]
)
def test_settings_that_lead_elsewhere_are_refused(
    directory: InstanceDirectory, config: InstanceConfig, changed: dict[str, Any] | None
) -> None:
    """Backups that cannot be seen would be taken for none."""
    config.storage = THERE
    with pytest.raises(ExternalStoreNotConfigured, match=r"https://s3\.example\.com/backups/team/shop"):
        external_in_use(directory, config, settings(**changed) if changed is not None else None)


def test_the_record_survives_its_file_and_holds_no_keys(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """Either kind comes back as what it was."""
    for storage in (INSIDE, THERE):
        config.storage = storage
        directory.save_config(config)
        loaded = directory.load_config()
        assert loaded is not None
        assert loaded.storage == storage
        assert "secret" not in directory.config_path.read_text()


def test_keys_come_from_the_settings_or_their_file(tmp_path: Path) -> None:
    """The file is AWS's own form, read whenever they are needed."""
    assert external_keys(settings()).secret_key == "kept-quiet"
    path = tmp_path / "credentials"
    from_file = settings(access_key=None, secret_key=None, credentials_file=path)
    for secret in ("first", "second"):
        path.write_text(f"[default]\naws_access_key_id = us\naws_secret_access_key = {secret}\n")
        assert external_keys(from_file).secret_key == secret


def test_a_file_of_no_use_is_named_and_nothing_of_it_told(tmp_path: Path) -> None:
    """Missing, or in another form."""
    path = tmp_path / "credentials"
    from_file = settings(access_key=None, secret_key=None, credentials_file=path)
    with pytest.raises(HostDirectoryError, match="No such file"):
        external_keys(from_file)
    path.write_text("aws_secret_access_key = kept-quiet")
    with pytest.raises(HostDirectoryError, match="not an AWS credentials file") as refused:
        external_keys(from_file)
    assert "kept-quiet" not in str(refused.value.problem())


def test_the_keys_are_never_printed() -> None:
    """Neither the settings' nor the store's."""
    told = f"{settings()!r} {settings().model_dump_json()} {external_keys(settings())!r}"
    assert "kept-quiet" not in told
    assert isinstance(settings().secret_key, SecretStr)


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "s3.example.com"},
        {"endpoint": "https://us:kept-quiet@s3.example.com"},
        {"endpoint": "https://s3.example.com/backups"},
        {"cluster_endpoint": "ftp://s3"},
        {"bucket": "back/ups"},
        {"prefix": "../theirs"},
        {"prefix": "/team"},
        {"secret_key": None},
        {"credentials_file": "/somewhere"},
        {"access_key": None, "secret_key": None},
    ],
)
def test_settings_that_cannot_work_are_refused_at_the_start(wrong: dict[str, Any]) -> None:
    """By their name."""
    with pytest.raises(ValueError, match=next(iter(wrong)) if len(wrong) == 1 and "key" not in str(wrong) else "key"):
        settings(**wrong)
