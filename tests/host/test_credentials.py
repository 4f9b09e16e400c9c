"""Secrets of an instance: made once, private, never replaced."""

import configparser
import stat
from pathlib import Path

import pytest

from app.host.credentials import credentials_file, ensure_credentials, ensure_repository_password
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.storage.s3 import S3Credentials


def test_the_keys_are_made_once(directory: InstanceDirectory) -> None:
    """MinIO's data can only be read with the ones it was made with."""
    assert ensure_credentials(directory) == ensure_credentials(directory)
    assert ensure_repository_password(directory) == ensure_repository_password(directory)


def test_two_instances_share_nothing(directory: InstanceDirectory) -> None:
    """Each has its own store."""
    other = InstanceDirectory(directory.path.parent / "other")
    assert ensure_credentials(directory) != ensure_credentials(other)
    assert ensure_repository_password(directory) != ensure_repository_password(other)


def test_secrets_are_private(directory: InstanceDirectory) -> None:
    """Files and directory."""
    ensure_credentials(directory)
    ensure_repository_password(directory)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.credentials_directory.iterdir()}
    assert modes == {"credentials": 0o600, "repository-password": 0o600}
    assert stat.S_IMODE(directory.credentials_directory.stat().st_mode) == 0o700


def test_the_file_is_in_the_form_velero_reads(directory: InstanceDirectory) -> None:
    """The AWS INI form, with the profile named default."""
    credentials = ensure_credentials(directory)
    parser = configparser.ConfigParser()
    parser.read(directory.credentials_directory / "credentials")
    assert dict(parser["default"]) == {
        "aws_access_key_id": credentials.access_key,
        "aws_secret_access_key": credentials.secret_key,
    }


def test_keys_with_a_percent_sign_survive(directory: InstanceDirectory) -> None:
    """A user may have put keys of their own there."""
    mine = S3Credentials("user", "50%%off%(x)s")
    directory.make(directory.credentials_directory)
    directory.write(directory.credentials_directory / "credentials", credentials_file(mine).encode())
    assert ensure_credentials(directory) == mine


@pytest.mark.parametrize("content", [b"", b"[other]\n", b"[default]\naws_access_key_id=a\n", b"\xff\xfe", b"nonsense"])
def test_a_broken_file_is_an_error_and_kept(directory: InstanceDirectory, content: bytes) -> None:
    """New keys would lock the backups away; nothing of the file is shown."""
    directory.make(directory.credentials_directory)
    path = directory.credentials_directory / "credentials"
    directory.write(path, content)
    with pytest.raises(HostDirectoryError, match="credentials file"):
        ensure_credentials(directory)
    assert path.read_bytes() == content


def test_a_linked_directory_is_not_entered(directory: InstanceDirectory, tmp_path: Path) -> None:
    """Secrets are neither read from nor written to another place."""
    (tmp_path / "outside").mkdir()
    directory.credentials_directory.symlink_to(tmp_path / "outside")
    with pytest.raises(HostDirectoryError, match="link"):
        ensure_credentials(directory)
    assert list((tmp_path / "outside").iterdir()) == []


def test_keys_are_never_printed(directory: InstanceDirectory) -> None:
    """Not even by a debugger's repr."""
    credentials = ensure_credentials(directory)
    assert credentials.secret_key not in repr(credentials)
