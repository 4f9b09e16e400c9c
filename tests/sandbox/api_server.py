"""The sandbox's API server as a real process, for every suite that needs one."""

import asyncio
import base64
import contextlib
import ssl
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

_READY_SECONDS = 20
_END_SECONDS = 10


@dataclass
class RunningApi:
    """Where it listens and how it is entered; ``process`` is the server itself."""

    url: str
    token: str
    ca_file: Path
    kubeconfig: dict[str, Any]
    process: asyncio.subprocess.Process


@asynccontextmanager
async def running_api(directory: Path, *arguments: str) -> AsyncIterator[RunningApi]:
    """Starts the server in ``directory`` (again), waits until it is ready, ends it by its own pid."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "kubeconfig").unlink(missing_ok=True)
    with (directory / "api.log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "app.sandbox.kubeapi", "--directory", str(directory), *arguments,
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        yield await _ready(directory, process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


async def _ready(directory: Path, process: asyncio.subprocess.Process) -> RunningApi:
    try:
        async with asyncio.timeout(_READY_SECONDS):
            while not (directory / "kubeconfig").exists():
                if process.returncode is not None:
                    raise AssertionError((directory / "api.log").read_text()[-2000:])
                await asyncio.sleep(0.02)
            running = _described(directory, process)
            while not await _answers(running):
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError((directory / "api.log").read_text()[-2000:]) from None
    return running


def _described(directory: Path, process: asyncio.subprocess.Process) -> RunningApi:
    kubeconfig = yaml.safe_load((directory / "kubeconfig").read_text())
    cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
    ca_file = directory / "pki" / "ca.crt"
    assert ca_file.read_bytes() == base64.b64decode(cluster["certificate-authority-data"])
    return RunningApi(cluster["server"], user["token"], ca_file, kubeconfig, process)


async def _answers(running: RunningApi) -> bool:
    context = ssl.create_default_context(cafile=str(running.ca_file))
    headers = {"Authorization": f"Bearer {running.token}"}
    try:
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(f"{running.url}/readyz", ssl=context) as response,
        ):
            return response.status == 200
    except aiohttp.ClientError:
        return False
