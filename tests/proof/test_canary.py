"""The canary: found where the store really writes, and never left behind."""

import asyncio
import os
from pathlib import Path

import pytest

from app.proof.canary import CANARY_BYTES, CANARY_KEY, MARK, prove_bytes_on_host
from app.storage.errors import ObjectStoreError
from app.storage.s3 import S3Store
from tests.proof.object_store import ObjectStore
from tests.waiting import eventually


async def canaries(store: S3Store) -> list[str]:
    return [stored.key for stored in await store.list_objects(CANARY_KEY)]


async def test_the_bytes_are_found_in_the_stores_files(store: S3Store, object_store: ObjectStore) -> None:
    """A store that appends to volume files, as SeaweedFS does."""
    result = await prove_bytes_on_host(store, object_store.directory)
    assert (result.status, result.how, result.encrypted) == ("found", "volume file", False)
    assert (object_store.directory / result.path).is_file()
    assert await canaries(store) == []


async def test_the_wrong_directory_has_no_canary(store: S3Store, tmp_path: Path) -> None:
    """The data would die with the node."""
    (tmp_path / "other").write_bytes(os.urandom(1000))
    result = await prove_bytes_on_host(store, tmp_path, search_seconds=0.3)
    assert result.status == "not-found"
    assert await canaries(store) == []


async def write_like_minio(store: S3Store, directory: Path, place: str, *, encrypted: bool = False) -> None:
    """What MinIO does with a small object: metadata and bytes stand in the middle of a file named for the key."""
    await eventually(lambda: _has_canary(store))
    key = (await canaries(store))[0]
    path = directory / place.format(bucket=store.bucket, key=key)
    path.parent.mkdir(parents=True)
    head = await store._client.head_object(Bucket=store.bucket, Key=key)
    content = os.urandom(CANARY_BYTES) if encrypted else await store.get(key)
    path.write_bytes(b"XL2 " + head["Metadata"][MARK].encode() + content + b" end")


async def _has_canary(store: S3Store) -> bool:
    return bool(await canaries(store))


async def test_minios_file_of_the_key_is_found(store: S3Store, tmp_path: Path) -> None:
    """By its name, without looking at any other file."""
    writing = asyncio.create_task(write_like_minio(store, tmp_path, "{bucket}/{key}/xl.meta"))
    result = await prove_bytes_on_host(store, tmp_path, search_seconds=10)
    await writing
    assert (result.status, result.how, result.encrypted) == ("found", "object file", False)
    assert result.path.startswith(f"{store.bucket}/{CANARY_KEY}/")


async def test_of_an_encrypted_canary_the_mark_is_found(store: S3Store, tmp_path: Path) -> None:
    """Its content is not there in the form it was put in, and the answer says so."""
    place = "{bucket}/{key}/xl.meta"
    writing = asyncio.create_task(write_like_minio(store, tmp_path, place, encrypted=True))
    result = await prove_bytes_on_host(store, tmp_path, search_seconds=10)
    await writing
    assert (result.status, result.how, result.encrypted) == ("found", "object file", True)


async def test_a_mark_in_any_other_file_says_nothing(store: S3Store, tmp_path: Path) -> None:
    """A database of names, say, on another disk than the content."""
    writing = asyncio.create_task(write_like_minio(store, tmp_path, "names/{key}", encrypted=True))
    result = await prove_bytes_on_host(store, tmp_path, search_seconds=1)
    await writing
    assert result.status == "not-found"


async def test_a_canary_behind_a_link_is_not_on_the_disk(store: S3Store, tmp_path: Path) -> None:
    """A link may lead off the mount."""
    outside, inside = tmp_path / "outside", tmp_path / "inside"
    inside.mkdir()
    (inside / store.bucket).symlink_to(outside / store.bucket)
    writing = asyncio.create_task(write_like_minio(store, outside, "{bucket}/{key}/xl.meta"))
    result = await prove_bytes_on_host(store, inside, search_seconds=1)
    await writing
    assert result.status == "not-found"


async def test_pipes_and_sockets_among_the_files_do_no_harm(store: S3Store, object_store: ObjectStore) -> None:
    """Stores leave such things about."""
    pipe = object_store.directory / "a-pipe"
    os.mkfifo(pipe)
    try:
        assert (await prove_bytes_on_host(store, object_store.directory)).status == "found"
    finally:
        pipe.unlink()


async def test_a_cancelled_search_takes_its_canary_along(store: S3Store, tmp_path: Path) -> None:
    """A job may be cancelled any time before the power-off."""
    searching = asyncio.create_task(prove_bytes_on_host(store, tmp_path, search_seconds=30))
    await eventually(lambda: _has_canary(store))
    searching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await searching
    assert await canaries(store) == []


async def test_what_a_killed_process_left_goes_with_the_next_canary(store: S3Store, object_store: ObjectStore) -> None:
    """Nobody else would remove it."""
    await store.put(CANARY_KEY, b"old")
    await store.put("unlike-a-canary", b"kept")
    await prove_bytes_on_host(store, object_store.directory)
    assert [stored.key for stored in await store.list_objects("")] == ["unlike-a-canary"]


async def test_a_store_that_refuses_the_canary_is_an_error(object_store: ObjectStore, tmp_path: Path) -> None:
    """Not a canary that was not found."""
    async with S3Store(object_store.url, object_store.credentials, "no-such-bucket") as store:
        with pytest.raises(ObjectStoreError):
            await prove_bytes_on_host(store, tmp_path)
