"""A Go program over a client generated from openapi.json, as KECS's host process could be one."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.go import older_openapi
from tests.instances import NAME
from tests.product import sandbox_product

HERE = Path(__file__).parent
OPENAPI = HERE.parents[1] / "openapi.json"
#: The generator itself is compiled first.
BUILD_SECONDS = 300
#: A stop and a start.
RUN_SECONDS = 60

pytestmark = [pytest.mark.go, pytest.mark.timeout(BUILD_SECONDS + RUN_SECONDS)]


@pytest.fixture
async def program(tmp_path: Path) -> Path:
    """Generated, compiled, outside of the source tree."""
    if shutil.which("go") is None:
        if os.environ.get("CI"):
            raise RuntimeError("CI needs Go for the generated client")
        pytest.skip("Go is not installed")
    module = tmp_path / "go"
    shutil.copytree(HERE, module, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    document = module / "openapi.json"
    document.write_bytes(await ran(sys.executable, older_openapi.__file__, cwd=module, stdin=OPENAPI.read_bytes()))
    (module / "kecsstate").mkdir()
    generator = ["go", "tool", "oapi-codegen", "-generate", "types,client", "-package", "kecsstate"]
    await ran(*generator, "-o", "kecsstate/client.gen.go", str(document), cwd=module)
    await ran("go", "vet", "./...", cwd=module)
    await ran("go", "build", "-o", "program", "./stopstart", cwd=module)
    return module / "program"


async def ran(*command: str, cwd: Path, stdin: bytes = b"") -> bytes:
    """What a command that must succeed prints."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, cwd=cwd, stdin=pipe, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(BUILD_SECONDS):
        out, err = await process.communicate(stdin)
    assert process.returncode == 0, f"{' '.join(command)}: {err.decode()}"
    return out


async def test_a_go_program_stops_and_starts_an_instance(program: Path, tmp_path: Path) -> None:
    """With the proof and the restore in its own types."""
    async with sandbox_product(tmp_path) as product:
        out = (await ran(str(program), str(product.service.client.base_url), NAME, cwd=tmp_path)).decode()
        assert out.splitlines()[0].startswith("stopped: protected=true backup=stop-backup-")
        assert out.splitlines()[1] == "started: action=repair"
        assert product.state() == "running"


async def test_it_says_what_the_service_says(program: Path, tmp_path: Path) -> None:
    """The problem's own words, and a failure."""
    async with sandbox_product(tmp_path) as product:
        process = await asyncio.create_subprocess_exec(
            program, str(product.service.client.base_url), "nobody", stderr=asyncio.subprocess.PIPE
        )
        async with asyncio.timeout(RUN_SECONDS):
            _, err = await process.communicate()
    assert process.returncode == 1
    assert "instance-not-found: there is no instance 'nobody'" in err.decode()
