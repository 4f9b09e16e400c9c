"""The object store over S3: the only place that knows aioboto3.

The client's defaults are wrong for a store like MinIO behind a tunnel (trailing checksums, long timeouts); the
configuration here is the one that was measured to work.
"""

import asyncio
import contextlib
import functools
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from app.errors import of_this_machine
from app.storage.errors import (
    BucketMissing,
    LocalFileUnusable,
    ObjectDamaged,
    ObjectNotFound,
    ObjectStoreError,
    ObjectStoreUnavailable,
)

CHUNK_BYTES = 256 * 1024
#: S3's own limit for one DeleteObjects call.
MOST_DELETED_AT_ONCE = 1000
_NOT_FOUND = {"NoSuchKey", "NoSuchBucket", "404", "NotFound"}
_PATIENCE = {"SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "503", "500"}


@dataclass(frozen=True)
class S3Credentials:
    """A pair of keys; never printed."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


@dataclass(frozen=True)
class StoredObject:
    """One object as a listing shows it."""

    key: str
    size: int
    modified_at: datetime


@dataclass(frozen=True)
class Download:
    """What was downloaded: bytes and the SHA-256 of them in hex."""

    size: int
    sha256: str


@dataclass(frozen=True)
class S3Options:
    """What differs between stores; the defaults are those of MinIO in the cluster.

    Without ``ca_file`` a certificate is checked by the system's authorities.
    """

    region: str = "minio"
    path_style: bool = True
    ca_file: Path | None = None


class S3Store:
    """One bucket, or what lies below a prefix of it (every key is relative to that); an async context manager."""

    def __init__(
        self,
        endpoint_url: str,
        credentials: S3Credentials,
        bucket: str,
        *,
        prefix: str = "",
        options: S3Options | None = None,
    ) -> None:
        self._endpoint_url = endpoint_url
        self._credentials = credentials
        self.bucket = bucket
        self.prefix = prefix
        self._prefix = f"{prefix}/" if prefix else ""
        self._options = options or S3Options()
        self._opened = AsyncExitStack()
        self._client: Any = None

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(_load_model)
        client = _new_client(
            endpoint_url=self._endpoint_url,
            region_name=self._options.region,
            verify=self._authorities(),
            aws_access_key_id=self._credentials.access_key,
            aws_secret_access_key=self._credentials.secret_key,
            config=_configuration(path_style=self._options.path_style),
        )
        self._client = await self._opened.enter_async_context(client)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._opened.aclose()

    def _authorities(self) -> str | bool | None:
        """What certificates are checked by: None for the system's; without TLS nothing, as loading them takes 50 ms."""
        if self._options.ca_file is not None:
            return str(self._options.ca_file)
        return False if self._endpoint_url.lower().startswith("http:") else None

    async def ensure_bucket(self) -> None:
        """Make the bucket unless it is there."""
        async with _translated(f"bucket {self.bucket}"):
            try:
                await self._client.head_bucket(Bucket=self.bucket)
            except self._client.exceptions.ClientError as error:
                if _code(error) not in _NOT_FOUND:
                    raise
                with contextlib.suppress(self._client.exceptions.BucketAlreadyOwnedByYou):
                    await self._client.create_bucket(Bucket=self.bucket)

    async def require_bucket(self) -> None:
        """Raise ``BucketMissing`` unless the bucket is there; makes none."""
        try:
            async with _translated(f"bucket {self.bucket} at {self._endpoint_url}"):
                await self._client.head_bucket(Bucket=self.bucket)
        except ObjectNotFound as error:
            raise BucketMissing(
                f"there is no bucket {self.bucket!r} at {self._endpoint_url}",
                remedy="Make the bucket, or name another one. This service makes none in a store that others run.",
                bucket=self.bucket,
            ) from error

    async def list_objects(self, prefix: str) -> list[StoredObject]:
        """Every object below a prefix, by key."""
        found = []
        async with _translated(prefix):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self._prefix + prefix
            )
            async for page in pages:
                found += [
                    StoredObject(entry["Key"].removeprefix(self._prefix), entry["Size"], entry["LastModified"])
                    for entry in page.get("Contents", [])
                ]
        return found

    async def get(self, key: str) -> bytes:
        """A small object whole; raises ``ObjectNotFound``."""
        async with _translated(key):
            response = await self._client.get_object(Bucket=self.bucket, Key=self._prefix + key)
            async with response["Body"] as body:
                content: bytes = await body.read()
        return content

    async def download(
        self, key: str, path: Path, on_chunk: Callable[[int], Awaitable[None]] | None = None
    ) -> Download:
        """Stream an object into a file; raises ``ObjectDamaged`` when its size is not what the store announced.

        Raises ``InsufficientStorage`` when the file has no room.
        """
        digest, size = hashlib.sha256(), 0
        async with _translated(key):
            response = await self._client.get_object(Bucket=self.bucket, Key=self._prefix + key)
            async with response["Body"] as body:
                with _written(path) as write:
                    async for chunk in body.content.iter_chunked(CHUNK_BYTES):
                        digest.update(chunk)
                        size += len(chunk)
                        write(chunk)
                        if on_chunk is not None:
                            await on_chunk(len(chunk))
        if size != response["ContentLength"]:
            raise ObjectDamaged(f"{key} has {size} bytes instead of {response['ContentLength']}", key=key)
        return Download(size, digest.hexdigest())

    async def put(self, key: str, content: bytes, metadata: dict[str, str] | None = None) -> None:
        """Write a small object, with metadata of ours beside its content."""
        async with _translated(key):
            await self._client.put_object(
                Bucket=self.bucket, Key=self._prefix + key, Body=content, Metadata=metadata or {}
            )

    async def upload(self, path: Path, key: str) -> None:
        """Write a file as an object in one request: S3 takes 5 GiB so, far more than a backup's archive has."""
        async with _translated(key):
            with path.open("rb") as file:
                await self._client.put_object(Bucket=self.bucket, Key=self._prefix + key, Body=file)

    async def is_encrypted(self, key: str) -> bool:
        """Whether the store keeps an object encrypted, by its own word; raises ``ObjectNotFound``."""
        async with _translated(key):
            head = await self._client.head_object(Bucket=self.bucket, Key=self._prefix + key)
        return "ServerSideEncryption" in head

    async def encrypt(self, key: str) -> None:
        """Have the store write an object of its own again, encrypted; raises ``ObjectNotFound``."""
        async with _translated(key):
            await self._client.copy_object(
                Bucket=self.bucket,
                Key=self._prefix + key,
                CopySource={"Bucket": self.bucket, "Key": self._prefix + key},
                ServerSideEncryption="AES256",
            )

    async def delete(self, keys: Iterable[str]) -> None:
        """Delete objects; those already gone are success."""
        left = list(keys)
        while left:
            batch, left = left[:MOST_DELETED_AT_ONCE], left[MOST_DELETED_AT_ONCE:]
            async with _translated(batch[0]):
                answer = await self._client.delete_objects(
                    Bucket=self.bucket,
                    Delete={"Objects": [{"Key": self._prefix + key} for key in batch], "Quiet": True},
                )
            if answer.get("Errors"):
                first = answer["Errors"][0]
                raise ObjectStoreError(f"{first['Key']} could not be deleted: {first['Code']}", s3_code=first["Code"])


def load_library() -> None:
    """Import aioboto3 and make the session: a third of a second, better spent in a thread beforehand."""
    _session()


@functools.cache
def _session() -> Any:
    """The process's one session.

    Imported here, since botocore costs a third of a second; a second session would load its service model again
    (90 ms, 10 MB).
    """
    import aioboto3

    return aioboto3.Session()


def _new_client(**options: Any) -> Any:
    return _session().client("s3", **options)


@functools.cache
def _load_model() -> None:
    """Make a first client, which connects to nothing: what it reads stays with the session, and takes 0.1 s.

    Not before it is needed, as it takes ten megabytes too; and in a thread, with a loop of its own.
    """

    async def make_one() -> None:
        nothing = dict.fromkeys(("region_name", "aws_access_key_id", "aws_secret_access_key"), "none")
        async with _new_client(**nothing):
            pass

    asyncio.run(make_one())


def _configuration(*, path_style: bool) -> Any:
    from botocore.config import Config

    return Config(
        signature_version="s3v4",
        s3={"addressing_style": "path" if path_style else "virtual"},
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        retries={"mode": "standard", "max_attempts": 3},
        connect_timeout=5,
        read_timeout=30,
        max_pool_connections=32,
    )


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))


@contextlib.contextmanager
def _written(path: Path) -> Iterator[Callable[[bytes], object]]:
    """A local file; what the system says of it, nobody shall take for the store's silence."""

    @contextlib.contextmanager
    def explained() -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise of_this_machine(error) or LocalFileUnusable(
                f"{path} cannot be written: {error.strerror}", path=str(path)
            ) from error

    with explained():
        file = path.open("wb")

    def write(chunk: bytes) -> None:
        with explained():
            file.write(chunk)

    try:
        yield write
    finally:
        with explained():
            file.close()


@contextlib.asynccontextmanager
async def _translated(subject: str) -> AsyncIterator[None]:
    """The library's exceptions as ours; the store's answers carry no secrets, our requests do."""
    from aiohttp import ClientPayloadError
    from botocore.exceptions import BotoCoreError, ClientError, ConnectionError, HTTPClientError  # noqa: A004

    try:
        yield
    except ClientError as error:
        code = _code(error)
        if code in _NOT_FOUND:
            raise ObjectNotFound(f"{subject} is not in the object store", key=subject) from error
        if code in _PATIENCE:
            raise ObjectStoreUnavailable(f"the object store cannot serve {subject} now: {code}") from error
        raise ObjectStoreError(f"the object store refused {subject}: {code}", s3_code=code) from error
    except (ConnectionError, HTTPClientError, ClientPayloadError, OSError, TimeoutError) as error:
        raise ObjectStoreUnavailable(
            f"the object store does not answer for {subject}: {type(error).__name__}"
        ) from error
    except BotoCoreError as error:
        raise ObjectStoreError(f"{subject}: {type(error).__name__}", s3_code=type(error).__name__) from error
