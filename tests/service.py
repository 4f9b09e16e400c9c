"""The service as its users meet it: a real process on a loopback port, driven over HTTP."""

import asyncio
import os
import signal
import ssl
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from app.sandbox.ports import free_port

#: What ``serve`` is told before the directory: with the embedded sandbox, or with the driver the settings name.
SANDBOX = ("--sandbox", "--state-dir")
CONFIGURED = ("--home",)
READY_SECONDS = 45
JOB_SECONDS = 50


class RunningService:
    """One state directory served by one process at a time; ``restart`` and ``kill`` act on it by its id.

    ``program`` is this checkout's, unless it is changed before the start.
    """

    program: Sequence[str] = (sys.executable, "-m", "app.cli.main")

    def __init__(
        self,
        state_dir: Path,
        settings: Mapping[str, str],
        serve: Sequence[str] = SANDBOX,
        token: str | None = None,
        trusted: ssl.SSLContext | None = None,
    ) -> None:
        self.state_dir = state_dir
        self._serve = serve
        self.port = free_port()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        url = f"{'https' if trusted else 'http'}://127.0.0.1:{self.port}"
        self.client = httpx.AsyncClient(base_url=url, timeout=60, headers=headers, verify=trusted or True)
        self.log = state_dir / "service.log"
        self.job_seconds: float = JOB_SECONDS
        self._environment = os.environ | {f"KECS_STATE_{key}": value for key, value in settings.items()}
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """Of the process that serves now."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start the process and wait until it is ready."""
        arguments = ["serve", *self._serve, str(self.state_dir), "--port", str(self.port)]
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self.program, *arguments, env=self._environment, stdout=log, stderr=log
            )
        async with asyncio.timeout(READY_SECONDS):
            while not await self._ready():
                assert self._process.returncode is None, self.log.read_text()[-3000:]
                await asyncio.sleep(0.05)

    async def _ready(self) -> bool:
        try:
            return (await self.client.get("/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def serve_with(self, **settings: str) -> None:
        """Restart it in an orderly way, with other values of some settings."""
        await self.terminate()
        self._environment |= {f"KECS_STATE_{key}": value for key, value in settings.items()}
        await self.start()

    async def kill(self) -> None:
        """SIGKILL, as a crash would."""
        await self._end(signal.SIGKILL)

    async def terminate(self) -> int | None:
        """SIGTERM, as an init system would; the exit code."""
        await self._end(signal.SIGTERM)
        return self._process.returncode if self._process is not None else None

    async def exit_code(self) -> int:
        """The exit code of a process that ends by itself."""
        assert self._process is not None
        async with asyncio.timeout(READY_SECONDS):
            return await self._process.wait()

    async def close(self) -> None:
        """SIGTERM, and the client closed."""
        await self._end(signal.SIGTERM)
        await self.client.aclose()

    async def _end(self, how: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(how)
            async with asyncio.timeout(READY_SECONDS):
                await self._process.wait()

    async def post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """One POST; no body at all when none is given, as with ``curl -X POST``."""
        return await self.client.post(path, json=body) if body is not None else await self.client.post(path)

    async def run(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Submit an operation and give back its job once it has ended."""
        response = await self.post(path, body)
        assert response.status_code == 202, response.text
        return await self.ended(response.json()["id"])

    async def ended(self, job_id: str) -> dict[str, Any]:
        """The job once it has ended; survives restarts of the service meanwhile."""
        job: dict[str, Any] = {}
        try:
            async with asyncio.timeout(self.job_seconds):
                while job.get("status") not in {"succeeded", "failed", "cancelled"}:
                    try:
                        job = (await self.client.get(f"/jobs/{job_id}", params={"wait": 10})).json()
                    except httpx.TransportError:
                        await asyncio.sleep(0.1)
        except TimeoutError:
            raise AssertionError(f"the job has not ended: {job}\n{self.log.read_text()[-3000:]}") from None
        return job


@asynccontextmanager
async def running_service(
    state_dir: Path,
    serve: Sequence[str] = SANDBOX,
    token: str | None = None,
    trusted: ssl.SSLContext | None = None,
    **settings: str,
) -> AsyncIterator[RunningService]:
    """A ready service over ``state_dir``; settings without the prefix, e.g. ``WORKFLOW__KEEP_LAST="2"``.

    ``token`` is what its client shows, ``trusted`` whom it trusts where the service speaks TLS.
    """
    service = RunningService(state_dir, settings, serve, token, trusted)
    try:
        await service.start()
        yield service
    finally:
        await service.close()
