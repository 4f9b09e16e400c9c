"""One served API per test."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.api.serving import ServedApi, served_api


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    """The API on a loopback port."""
    async with served_api(tmp_path) as served:
        yield served


@pytest.fixture
def client(api: ServedApi) -> httpx.AsyncClient:
    """A plain HTTP client of it."""
    return api.client
