"""The command line as a process of its own, against a served API."""

import asyncio
import os
import sys
from dataclasses import dataclass

COMMAND_SECONDS = 30


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str


def environment(url: str) -> dict[str, str]:
    """Nothing of this machine's own settings, and the service's address."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("KECS_STATE_")}
    return kept | {"KECS_STATE_URL": url, "NO_COLOR": "1"}


async def begin(url: str, *arguments: str, **variables: str) -> asyncio.subprocess.Process:
    """The command, running, with both outputs as pipes."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "app.cli.main", *arguments, env=environment(url) | variables,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process) -> Ended:
    """How it ended, waited for."""
    async with asyncio.timeout(COMMAND_SECONDS):
        out, err = await process.communicate()
    assert process.returncode is not None
    return Ended(process.returncode, out.decode(), err.decode())


async def command(url: str, *arguments: str, **variables: str) -> Ended:
    """Run a command to its end; ``variables`` come on top of its environment."""
    return await end(await begin(url, *arguments, **variables))
