"""The key of encryption at rest: made once, recorded by name, and never silently replaced."""

import base64
import stat

import pytest

from app.errors import EncryptionKeyUnusable
from app.host.config import InstanceConfig
from app.host.encryption_key import ensure_encryption_key, load_encryption_key
from app.host.instance_directory import InstanceDirectory
from app.storage.encryption import EncryptionKey


@pytest.fixture(autouse=True)
def recorded(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """An instance that is known."""
    directory.save_config(config)


def write_key(directory: InstanceDirectory, content: bytes) -> None:
    """As a person would, with a copy."""
    directory.write(directory.credentials_directory / "encryption-key", content)


def test_there_is_no_key_before_one_is_wanted(directory: InstanceDirectory) -> None:
    """Looking makes none."""
    assert load_encryption_key(directory) is None
    assert not directory.credentials_directory.exists()


def test_the_key_is_made_once_of_32_bytes(directory: InstanceDirectory) -> None:
    """What MinIO asks for."""
    key = ensure_encryption_key(directory)
    assert (ensure_encryption_key(directory), load_encryption_key(directory)) == (key, key)
    assert len(base64.b64decode(key.secret)) == 32


def test_two_instances_have_two_keys(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """One that is told gives away one instance."""
    other = InstanceDirectory(directory.path.parent / "other")
    other.save_config(config)
    assert ensure_encryption_key(directory).secret != ensure_encryption_key(other).secret


def test_the_file_is_private(directory: InstanceDirectory) -> None:
    """Like every secret of the instance."""
    ensure_encryption_key(directory)
    assert stat.S_IMODE((directory.credentials_directory / "encryption-key").stat().st_mode) == 0o600


def test_the_record_names_the_key_and_does_not_hold_it(directory: InstanceDirectory) -> None:
    """``config.json`` is shown to people."""
    key = ensure_encryption_key(directory)
    written = directory.config_path.read_text()
    assert key.key_id in written
    assert key.fingerprint in written
    assert key.secret not in written


def test_a_key_is_not_printed() -> None:
    """Neither in a log nor in a traceback."""
    assert "c2VjcmV0" not in repr(EncryptionKey("kecs-1", "c2VjcmV0"))


def test_a_lost_key_is_named_and_not_replaced(directory: InstanceDirectory) -> None:
    """Another would lock the backups away for good."""
    key = ensure_encryption_key(directory)
    (directory.credentials_directory / "encryption-key").unlink()
    for look in (load_encryption_key, ensure_encryption_key):
        with pytest.raises(EncryptionKeyUnusable, match=key.key_id) as error:
            look(directory)
        assert (error.value.status, error.value.extras["key_id"]) == (409, key.key_id)
    assert not (directory.credentials_directory / "encryption-key").exists()


@pytest.mark.parametrize("same_id", [True, False])
def test_another_key_in_its_place_is_refused(directory: InstanceDirectory, *, same_id: bool) -> None:
    """Known by its fingerprint, whatever it is called; nothing of it is told."""
    key = ensure_encryption_key(directory)
    other = base64.b64encode(b"x" * 32).decode()
    write_key(directory, f"{key.key_id if same_id else 'other'}:{other}".encode())
    with pytest.raises(EncryptionKeyUnusable, match=key.key_id) as error:
        load_encryption_key(directory)
    assert other not in str(error.value.problem())


@pytest.mark.parametrize("content", [b"", b"kecs-1", b"kecs-1:", b":eHh4", b"kecs-1:eHh4", b"kecs-1:%%%", b"\xff\xfe"])
def test_what_is_no_key_is_refused(directory: InstanceDirectory, content: bytes) -> None:
    """MinIO would not start with it."""
    directory.make(directory.credentials_directory)
    write_key(directory, content)
    with pytest.raises(EncryptionKeyUnusable, match="no key"):
        load_encryption_key(directory)


def test_a_key_made_by_a_process_that_died_is_taken_up(directory: InstanceDirectory, config: InstanceConfig) -> None:
    """The file comes first, so the record may lack it; a lost record is the same."""
    key = ensure_encryption_key(directory)
    directory.save_config(config)
    assert ensure_encryption_key(directory) == key
    changed = directory.load_config()
    assert changed is not None
    assert changed.encryption is not None
    assert changed.encryption.key_id == key.key_id


def test_a_key_put_back_is_taken_again(directory: InstanceDirectory) -> None:
    """The way out that the problem names."""
    key = ensure_encryption_key(directory)
    (directory.credentials_directory / "encryption-key").unlink()
    write_key(directory, key.text.encode())
    assert load_encryption_key(directory) == key
