"""Backups copied between two parts of one S3 server: what is worth as much there, and what stops the copy."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from hashlib import sha256
from itertools import count

import pytest

from app.errors import BackupDamaged
from app.proof.models import CanaryResult, Proof, StoredDigest
from app.storage import layout
from app.storage.s3 import S3Store
from app.workflows.copying import copy_backup, copy_repository
from tests.proof.archives import an_object
from tests.proof.backups import NAME, UID, good_backup, upload
from tests.proof.object_store import ObjectStore

_numbers = count(1)
BLOBS = {"kopia/shop/kopia.maintenance": b"1", "kopia/shop/p1": b"pack", "kopia/shop/q1": b"index"}


@pytest.fixture
async def source(server: ObjectStore, whole: S3Store) -> AsyncIterator[S3Store]:
    """A part with nothing in it yet."""
    async with S3Store(server.url, server.credentials, whole.bucket, prefix=f"from{next(_numbers)}") as opened:
        yield opened


@pytest.fixture
async def target(server: ObjectStore, whole: S3Store) -> AsyncIterator["Recording"]:
    """Another one."""
    async with Recording(server.url, server.credentials, whole.bucket, prefix=f"to{next(_numbers)}") as opened:
        yield opened


class Recording(S3Store):
    """Keeps the order in which objects arrive."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self.arrived: list[str] = []

    async def upload(self, path: object, key: str) -> None:
        """As ever."""
        self.arrived.append(key)
        await super().upload(path, key)  # type: ignore[arg-type]


async def proven(store: S3Store) -> Proof:
    """A good backup in the store, and its proof."""
    content = good_backup([an_object("ConfigMap", "settings", "shop")])
    await upload(store, content)
    now = datetime.now(UTC)
    objects = [StoredDigest(key=key, size=len(data), sha256=sha256(data).hexdigest()) for key, data in content.items()]
    return Proof(
        backup=NAME, backup_uid=UID, instance_id="i", cluster_uid="c", scope="full", verdict="proven", started_at=now,
        finished_at=now, size_bytes=0, items_in_inventory=1, items_in_backup=1, items_explained=0, findings=[],
        canary=CanaryResult(status="n/a"), objects=objects,
    )  # fmt: skip


async def ignored(_size: int) -> None:
    """Nobody watches."""


async def content_of(store: S3Store) -> dict[str, bytes]:
    """Every object."""
    return {stored.key: await store.get(stored.key) for stored in await store.list_objects("")}


async def test_all_of_a_backup_arrives_its_metadata_last(source: S3Store, target: Recording) -> None:
    """And nothing of the source is touched."""
    proof = await proven(source)
    before = await content_of(source)
    await copy_backup(proof, source, target, ignored)
    assert await content_of(target) == before == await content_of(source)
    assert target.arrived[-1] == layout.metadata_key(NAME)


async def test_what_is_there_is_not_sent_again(source: S3Store, target: Recording) -> None:
    """Also when the source has lost it meanwhile: it was read and is what was proven."""
    proof = await proven(source)
    await copy_backup(proof, source, target, ignored)
    target.arrived.clear()
    await source.delete([layout.contents_key(NAME)])
    await copy_backup(proof, source, target, ignored)
    assert target.arrived == []


async def test_a_copy_that_was_spoiled_is_made_anew(source: S3Store, target: Recording) -> None:
    """By its content, not by its size."""
    proof = await proven(source)
    await copy_backup(proof, source, target, ignored)
    size = len(await target.get(layout.contents_key(NAME)))
    await target.put(layout.contents_key(NAME), b"x" * size)
    await copy_backup(proof, source, target, ignored)
    assert await content_of(target) == await content_of(source)


async def test_a_damaged_source_never_gets_its_metadata_across(source: S3Store, target: Recording) -> None:
    """So for Velero there is no such backup in the target."""
    proof = await proven(source)
    await source.put(layout.contents_key(NAME), b"something else")
    with pytest.raises(BackupDamaged, match="not what was proven"):
        await copy_backup(proof, source, target, ignored)
    assert layout.metadata_key(NAME) not in await content_of(target)


async def test_the_repository_of_volumes_becomes_the_same(source: S3Store, target: Recording) -> None:
    """What changes under its name is sent anew, what has gone goes, what is there already is left."""
    await upload(source, BLOBS)
    await upload(target, BLOBS | {"kopia/shop/kopia.maintenance": b"0", "kopia/shop/p0": b"old"})
    assert await copy_repository(source, target, ignored) == len(BLOBS)
    assert await content_of(target) == BLOBS
    assert target.arrived == ["kopia/shop/kopia.maintenance"]
