"""A second S3 server beside the cluster, as the store the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from app.storage.s3 import S3Store
from tests.instances import NAME
from tests.proof.object_store import ObjectStore, running_object_store

BUCKET = "backups"


@dataclass(frozen=True)
class ExternalStore:
    """The server and what the service is told of it."""

    server: ObjectStore
    prefix: str = "team"

    @property
    def settings(self) -> dict[str, str]:
        """Without the prefix of the environment's names."""
        keys = self.server.credentials
        return {
            "STORAGE__ENDPOINT": self.server.url,
            "STORAGE__BUCKET": BUCKET,
            "STORAGE__PREFIX": self.prefix,
            "STORAGE__ACCESS_KEY": keys.access_key,
            "STORAGE__SECRET_KEY": keys.secret_key,
        }

    def client(self, prefix: str | None = None) -> S3Store:
        """What lies there of the instance, or below another prefix."""
        place = f"{self.prefix}/{NAME}" if prefix is None else prefix
        return S3Store(self.server.url, self.server.credentials, BUCKET, prefix=place)

    async def keys(self, prefix: str = "") -> set[str]:
        """Of the instance's objects."""
        async with self.client() as store:
            return {found.key for found in await store.list_objects(prefix)}


@contextmanager
def running_external_store(home: Path) -> Iterator[ExternalStore]:
    """Ended by its own process."""
    home.mkdir()
    with running_object_store(home) as server:
        yield ExternalStore(server)
