"""Getting at a store: its bucket, its certificate, or no answer at all."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.sandbox.velero.bucket import Buckets, Endpoints, Keys, StoreError
from app.settings import StackSettings
from app.storage.errors import BucketMissing, ObjectStoreError, ObjectStoreUnavailable
from app.storage.s3 import S3Credentials, S3Options, S3Store
from app.velero.stack.manifests import ExternalPlace, external_location_manifest
from tests.clusters.certificates import self_signed
from tests.proof.object_store import ObjectStore
from tests.storage.conftest import BUCKET


@asynccontextmanager
async def behind_tls(server: ObjectStore, directory: Path) -> AsyncIterator[tuple[str, Path]]:
    """The same server by HTTPS: its address, and the file of the authority."""
    authority, context = self_signed(directory, "127.0.0.1")
    (directory / "ca.pem").write_bytes(base64.b64decode(authority))
    port = urlsplit(server.url).port

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            writer.write(data)
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer), return_exceptions=True)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with listening:
        yield f"https://127.0.0.1:{listening.sockets[0].getsockname()[1]}", directory / "ca.pem"


async def test_a_certificate_of_the_named_authority_is_trusted(
    server: ObjectStore, whole: S3Store, tmp_path: Path
) -> None:
    """And what is sent arrives as it is: over TLS a client's defaults would add a checksum as a trailer."""
    async with behind_tls(server, tmp_path) as (url, authority):
        options = S3Options(ca_file=authority)
        async with S3Store(url, server.credentials, BUCKET, options=options) as store:
            await store.put("sent", b"content")
    assert await whole.get("sent") == b"content"


async def test_the_sandboxs_velero_trusts_it_too(server: ObjectStore, whole: S3Store, tmp_path: Path) -> None:
    """By the location that the stack makes; without the certificate it cannot use the store."""
    keys = Keys(server.credentials.access_key, server.credentials.secret_key)
    await whole.put("team/shop/backups/one/velero-backup.json", b"{}")
    async with behind_tls(server, tmp_path) as (url, authority), Buckets(Endpoints(None)) as buckets:
        place = ExternalPlace(
            url, "", BUCKET, "team/shop", "us-east-1", True, authority.read_bytes(), server.credentials
        )
        location = external_location_manifest(StackSettings(), "default", place)
        assert await (await buckets.open(location, keys)).top_level_names() == ["backups"]
        distrusted = external_location_manifest(StackSettings(), "default", replace(place, authority=b""))
        with pytest.raises(StoreError):
            await (await buckets.open(distrusted, keys)).top_level_names()


async def test_without_it_nothing_is_sent(server: ObjectStore, whole: S3Store, tmp_path: Path) -> None:
    """The system knows no such authority."""
    async with behind_tls(server, tmp_path) as (url, _), S3Store(url, server.credentials, BUCKET) as store:
        with pytest.raises(ObjectStoreUnavailable):
            await store.put("sent", b"content")
    assert await whole.list_objects("") == []


async def test_a_bucket_that_is_not_there_is_not_made(server: ObjectStore) -> None:
    """In a store that others run."""
    async with S3Store(server.url, server.credentials, "nowhere") as store:
        for _ in range(2):
            with pytest.raises(BucketMissing, match="'nowhere'"):
                await store.require_bucket()


async def test_wrong_keys_are_a_refusal_without_the_keys(server: ObjectStore) -> None:
    """Neither in the text nor in the extras."""
    async with S3Store(server.url, S3Credentials("somebody", "kept-quiet"), BUCKET) as store:
        with pytest.raises(ObjectStoreError, match=server.url) as refused:
            await store.require_bucket()
    assert "kept-quiet" not in str(refused.value.problem())


async def test_nobody_there_is_said_with_the_address() -> None:
    """It may pass, so a step tries again."""
    async with S3Store("http://127.0.0.1:9", S3Credentials("a", "b"), BUCKET) as store:
        with pytest.raises(ObjectStoreUnavailable, match=r"http://127\.0\.0\.1:9"):
            await store.require_bucket()
