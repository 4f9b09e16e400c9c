"""The key of encryption at rest: made once per instance, kept beside its data, never replaced.

``config.json`` records its id and fingerprint, so that a lost or changed key is known before anything is touched.
"""

import base64
import binascii
import secrets
from pathlib import Path

from app.errors import EncryptionKeyUnusable
from app.host.config import EncryptionRecord
from app.host.instance_directory import InstanceDirectory
from app.storage.encryption import EncryptionKey

KEY_BYTES = 32


def load_encryption_key(directory: InstanceDirectory) -> EncryptionKey | None:
    """The instance's key, or None if it never had one.

    Raises ``EncryptionKeyUnusable``, naming the key's id, when the recorded one is gone or another lies in its place.
    """
    config = directory.load_config()
    recorded = config.encryption if config is not None else None
    path = _path(directory)
    content = directory.read(path)
    if content is None:
        if recorded is None:
            return None
        raise _unusable(path, recorded, f"the key {recorded.key_id!r} is missing")
    key = _parse(content)
    if key is None:
        raise _unusable(path, recorded, "it holds no key")
    if recorded is not None and (key.key_id, key.fingerprint) != (recorded.key_id, recorded.fingerprint):
        changed = "its content has changed" if key.key_id == recorded.key_id else f"it holds {key.key_id!r}"
        raise _unusable(path, recorded, f"the key {recorded.key_id!r} is not in it any more: {changed}")
    return key


def ensure_encryption_key(directory: InstanceDirectory) -> EncryptionKey:
    """The instance's key, made and recorded unless it is there; the file is durable before the record names it."""
    key = load_encryption_key(directory)
    if key is None:
        key = EncryptionKey(f"kecs-{secrets.token_hex(4)}", base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode())
        directory.make(directory.credentials_directory)
        directory.write(_path(directory), key.text.encode() + b"\n")
    config = directory.load_config()
    if config is not None and config.encryption is None:
        directory.update_config(encryption=EncryptionRecord(key_id=key.key_id, fingerprint=key.fingerprint))
    return key


def _path(directory: InstanceDirectory) -> Path:
    return directory.credentials_directory / "encryption-key"


def _parse(content: bytes) -> EncryptionKey | None:
    try:
        key_id, _, secret = content.decode().strip().partition(":")
        whole = len(base64.b64decode(secret, validate=True)) == KEY_BYTES
    except (UnicodeDecodeError, binascii.Error):
        return None
    return EncryptionKey(key_id, secret) if key_id and whole else None


def _unusable(path: Path, recorded: EncryptionRecord | None, why: str) -> EncryptionKeyUnusable:
    return EncryptionKeyUnusable(
        f"{path}: {why}; without it nothing can be read that was encrypted",
        remedy="Put the key back from a copy of that file. If it is lost, so are this instance's encrypted backups: "
        "start with restore.mode 'never', then move data/minio-data and the key file away and take the member "
        "'encryption' out of config.json.",
        key_id=recorded.key_id if recorded else None,
        path=str(path),
    )
