"""One service with the sandbox for all pages, and a shell that a reader could have open."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio

from app.sandbox import supervisor
from app.sandbox.seed import seed, seed_custom_resources
from tests.docs.blocks import Command
from tests.service import RunningService, running_service

#: What the pages use besides this package and a shell's own.
PROGRAMS = ("curl", "jq", "openssl")
#: What the pages say of the service's address.
SHOWN_URL = "http://127.0.0.1:5380"
#: A page takes half a minute at most, and ten times as long where everything else runs at the same time.
PAGE_SECONDS = 300
#: Begins each command's output; then comes its number.
_MARK = "\x1e"


@dataclass
class Reader:
    """Somebody who types what a page says, with the package's programs at hand."""

    service: RunningService
    directory: Path

    async def has(self, name: str) -> None:
        """Until that sandbox instance is there, filled and running."""
        state_dir = self.service.state_dir
        if name in supervisor.list_clusters(state_dir):
            await supervisor.power_on(state_dir, name)
        else:
            await supervisor.create(state_dir, name)
            await seed(state_dir, name)
            await seed_custom_resources(state_dir, name)

    async def lacks(self, name: str) -> None:
        """Until neither its cluster is there nor anything that was kept of it."""
        if name in supervisor.list_clusters(self.service.state_dir):
            await supervisor.delete(self.service.state_dir, name)
        shutil.rmtree(self.service.state_dir / "instances" / name, ignore_errors=True)

    async def types(self, commands: Sequence[Command]) -> list[str]:
        """What each command printed; the first that fails ends it, as an assertion."""
        script = self.directory / "page.sh"
        script.write_text(
            "set -eo pipefail\n"
            + "".join(f"printf '{_MARK}'\n{command.text}\n" for command in commands).replace(
                SHOWN_URL, str(self.service.client.base_url).rstrip("/")
            )
        )
        shell = await asyncio.create_subprocess_exec(
            "bash", str(script), cwd=self.directory, env=self._environment(),
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
        try:
            async with asyncio.timeout(PAGE_SECONDS):
                output, _ = await shell.communicate()
        finally:
            if shell.returncode is None:
                os.killpg(shell.pid, signal.SIGKILL)
                await shell.wait()
        printed = output.decode().split(_MARK)[1:]
        failed = commands[len(printed) - 1]
        assert shell.returncode == 0, f"{failed.place}: exit code {shell.returncode}\n{failed.text}\n{printed[-1]}"
        return printed

    def _environment(self) -> dict[str, str]:
        """A home of its own, where units are written too; the settings lead to the service of these tests."""
        return os.environ | {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "HOME": str(self.directory),
            "XDG_CONFIG_HOME": "",
            "KECS_STATE_URL": str(self.service.client.base_url),
            "KECS_STATE_DRIVER": "sandbox",
            "KECS_STATE_SANDBOX_STATE_DIR": str(self.service.state_dir),
            "NO_COLOR": "1",
        }


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def service(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningService]:
    """The service, with no instance yet."""
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    assert not missing, f"the pages' commands need {' and '.join(missing)}: install it"
    async with running_service(tmp_path_factory.mktemp("docs")) as service:
        yield service
        for name in supervisor.list_clusters(service.state_dir):
            await supervisor.delete(service.state_dir, name)


@pytest.fixture
def reader(service: RunningService, tmp_path: Path) -> Reader:
    """A reader in an empty directory, where .venv is this one."""
    (tmp_path / ".venv").symlink_to(sys.prefix)
    return Reader(service, tmp_path)
