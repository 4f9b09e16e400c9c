"""A real API server process and a client of it; a scripted one for what that server cannot do."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from app.kubernetes.client import KubeClient
from app.kubernetes.deadlines import Deadlines
from app.kubernetes.resources import NAMESPACES
from app.ports import ClusterAccess
from app.sandbox.kubeapi.pki import ensure_certificates
from tests.kubernetes.scripted import Answer, ScriptedServer, scripted
from tests.sandbox.api_server import RunningApi, running_api

_numbers = count(1)
#: Short enough that a test can wait for each of them.
HASTY = Deadlines(connect=0.5, read=0.5, patience=3, watch=1, silence=0.5)

Playing = Callable[..., AbstractAsyncContextManager[tuple[ScriptedServer, KubeClient]]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
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
    name = f"adapters-{next(_numbers)}"
    await kube.create(NAMESPACES, {"metadata": {"name": name}})
    return name


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where every scripted server finds its certificates, whichever test comes first."""
    directory = tmp_path_factory.mktemp("pki")
    ensure_certificates(directory)
    return directory


@pytest.fixture
def playing(pki: Path) -> Playing:
    """A scripted server and a hasty client of it."""
    return partial(_playing, pki)


@asynccontextmanager
async def _playing(
    pki: Path, deadlines: Deadlines = HASTY, **script: list[Answer]
) -> AsyncIterator[tuple[ScriptedServer, KubeClient]]:
    async with (
        scripted(pki, **script) as server,
        await KubeClient.connect(ClusterAccess(server.kubeconfig), deadlines) as client,
    ):
        yield server, client
