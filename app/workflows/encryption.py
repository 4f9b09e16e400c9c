"""Encryption at rest of one instance's store: whether it is wanted, with which key, and what still lies in clear."""

import asyncio
import contextlib

from app.errors import NotSupported
from app.host.config import ExternalRecord
from app.host.encryption_key import ensure_encryption_key, load_encryption_key
from app.host.minio_trash import empty_trash
from app.jobs.journal import Journal
from app.storage.encryption import StoreEncryption
from app.storage.errors import ObjectNotFound
from app.workflows.policies import Rules
from app.workflows.world import InstanceSession


def refuse_lost_key(session: InstanceSession) -> None:
    """Raises ``EncryptionKeyUnusable`` before anything is woken or powered, if the store could not be read then."""
    load_encryption_key(session.directory)


def refuse_outside(rules: Rules, place: ExternalRecord) -> None:
    """Raises ``NotSupported`` where encryption is wanted of a store that others run."""
    if rules.encryption == "at-rest":
        raise NotSupported(
            f"encryption: 'at-rest' is about MinIO in the cluster, and the backups go to {place}",
            remedy="Switch encryption on in that store, and take it out of the instance's policy.",
            field="encryption",
        )


def store_encryption(session: InstanceSession) -> StoreEncryption | None:
    """What the store needs to know; the key is made when encryption is first wanted.

    A store that encrypted once needs its key for ever, also when nothing more is to be encrypted.
    """
    rules, external = session.rules(), session.external()
    wanted = rules.encryption == "at-rest"
    if external is not None:
        refuse_outside(rules, external)
    key = ensure_encryption_key(session.directory) if wanted else load_encryption_key(session.directory)
    if not wanted:
        _note(session, whole=False)
    return StoreEncryption(key, everything=wanted) if key is not None else None


async def encrypt_what_lies_in_clear(
    session: InstanceSession, journal: Journal, encryption: StoreEncryption | None
) -> None:
    """Once after encryption was switched on: whatever was put before is written again, each object by itself.

    May be interrupted anywhere. Only files are replaced: a disk may go on holding what was in them.
    """
    config = session.directory.load_config()
    recorded = config.encryption if config is not None else None
    if encryption is None or not encryption.everything or recorded is None or recorded.whole:
        return
    store = await session.minio()
    lying = await store.list_objects("")
    for done, stored in enumerate(lying):
        await journal.progress("encrypting what lies in clear", items_done=done, items_total=len(lying))
        with contextlib.suppress(ObjectNotFound):
            if not await store.is_encrypted(stored.key):
                await store.encrypt(stored.key)
    await asyncio.to_thread(empty_trash, session.directory)
    _note(session, whole=True)


def _note(session: InstanceSession, *, whole: bool) -> None:
    config = session.directory.load_config()
    if config is not None and config.encryption is not None:
        session.directory.update_config(encryption=config.encryption.model_copy(update={"whole": whole}))
