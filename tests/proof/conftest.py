"""An API server and an object store as processes, and clients of both."""

from collections.abc import AsyncIterator, Iterator
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from app.host.instance_directory import InstanceDirectory
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NAMESPACES
from app.ports import ClusterAccess
from app.storage.s3 import S3Store
from tests.proof.object_store import ObjectStore, running_object_store
from tests.sandbox.api_server import RunningApi, running_api

_numbers = count(1)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One server for the whole run."""
    with running_object_store(tmp_path_factory.mktemp("object-store")) as running:
        yield running


@pytest.fixture
async def store(object_store: ObjectStore) -> AsyncIterator[S3Store]:
    """An empty bucket: always the same, since making one costs more than emptying it."""
    async with S3Store(object_store.url, object_store.credentials, "bucket") as opened:
        await opened.ensure_bucket()
        await opened.delete([stored.key for stored in await opened.list_objects("")])
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApi]:
    """An API server; nobody runs what is posted."""
    async with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
async def kube(api: RunningApi) -> AsyncIterator[KubeClient]:
    """A client of that server."""
    async with await KubeClient.connect(ClusterAccess(api.kubeconfig)) as client:
        yield client


@pytest.fixture
async def namespace(kube: KubeClient) -> str:
    """A namespace of the test's own."""
    name = f"shop-{next(_numbers)}"
    await kube.create(NAMESPACES, {"metadata": {"name": name}})
    return name


@pytest.fixture
def directory(tmp_path: Path) -> InstanceDirectory:
    """An instance's directory."""
    found = InstanceDirectory(tmp_path / "instances" / "shop")
    found.path.mkdir(parents=True)
    return found
