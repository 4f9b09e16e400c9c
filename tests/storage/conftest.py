"""An S3 server, and stores on parts of one bucket of it."""

from collections.abc import AsyncIterator, Iterator
from itertools import count

import pytest

from app.storage.s3 import S3Store
from tests.proof.object_store import ObjectStore, running_object_store

BUCKET = "shared"
#: SeaweedFS goes on listing emptied directories for a while, so each test has one of its own.
_numbers = count(1)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One for the whole run."""
    with running_object_store(tmp_path_factory.mktemp("server")) as running:
        yield running


@pytest.fixture
async def whole(server: ObjectStore) -> AsyncIterator[S3Store]:
    """The bucket, emptied."""
    async with S3Store(server.url, server.credentials, BUCKET) as opened:
        await opened.ensure_bucket()
        await opened.delete([stored.key for stored in await opened.list_objects("")])
        yield opened


@pytest.fixture
async def part(server: ObjectStore, whole: S3Store) -> AsyncIterator[S3Store]:
    """What lies below a prefix that no other test has."""
    prefix = f"team/shop{next(_numbers)}"
    async with S3Store(server.url, server.credentials, whole.bucket, prefix=prefix) as opened:
        yield opened
