"""The wheel does what the checkout does, anywhere."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from zipfile import ZipFile

import httpx
import pytest

from tests.release.installing import (
    ROOT,
    build_wheel,
    install_beside_our_packages,
    install_from_scratch,
    run,
)
from tests.service import SANDBOX, RunningService


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built once."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of an environment that has it."""
    return install_beside_our_packages(wheel, tmp_path_factory.mktemp("installed"))


def test_every_file_of_the_package_is_in_the_wheel(wheel: Path) -> None:
    """Migrations, the dashboard and the recorded examples too, and nothing else."""
    sources = [path for room in ("app", "migrations") for path in (ROOT / room).rglob("*") if path.is_file()]
    kept = {path.relative_to(ROOT) for path in sources if "__pycache__" not in path.parts}
    named = {str(path) if path.parts[0] == "app" else f"app/{path}" for path in kept}
    packed = {name for name in ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert packed == named


def test_the_program_is_the_wheels_and_knows_its_version(wheel: Path, installed: Path, tmp_path: Path) -> None:
    """Which comes from one place, pyproject.toml."""
    code = "import app; print(app.__file__)"
    assert Path(run(installed, "-c", code, cwd=tmp_path).strip()).is_relative_to(installed.parents[1])
    assert run(installed.parent / "kecs-state", "--version", cwd=tmp_path).split()[1] == wheel.name.split("-")[1]


@asynccontextmanager
async def _served(python: Path, state: Path) -> AsyncIterator[httpx.AsyncClient]:
    """The API that ``kecs-state serve --sandbox`` of that environment serves, once it is ready."""
    service = RunningService(state, {}, SANDBOX)
    service.program = [str(python.parent / "kecs-state")]
    try:
        await service.start()
        yield service.client
        assert await service.terminate() == 0
    finally:
        await service.close()


async def _check_what_it_serves(client: httpx.AsyncClient, version: str) -> None:
    assert (await client.get("/version")).json()["service"] == version
    for path, content in (("/", "<title>"), ("/dashboard/main.js", "import"), ("/docs", "swagger-ui")):
        assert content in (await client.get(path)).text, path
    assert "examples" in (await client.get("/openapi.json")).text
    script = re.findall(r'<script src="([^"]+)"', (await client.get("/docs")).text)[0]
    assert (await client.get(script)).status_code == 200


async def test_it_serves_the_sandbox_from_any_directory(
    wheel: Path, installed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ready means that the database has its schema; then the pages, and an orderly end."""
    monkeypatch.chdir(tmp_path)
    async with _served(installed, tmp_path) as client:
        await _check_what_it_serves(client, wheel.name.split("-")[1])


@pytest.mark.release
@pytest.mark.timeout(600)
async def test_it_serves_the_sandbox_where_nothing_else_is_installed(
    wheel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From an empty environment, with every dependency downloaded anew."""
    python = install_from_scratch(wheel, tmp_path / "environment")
    monkeypatch.chdir(tmp_path)
    async with _served(python, tmp_path) as client:
        await _check_what_it_serves(client, wheel.name.split("-")[1])
