"""Real command-line programs, run as a person would against the cluster of a world."""

import asyncio
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest
import yaml

from tests.real.binaries import binary
from tests.real.errors import RealError

RUN_SECONDS = 90


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    code: int
    out: str
    err: str


class Tool:
    """One program with the cluster's kubeconfig and a home of its own; ``namespace`` is where it works.

    ``seconds`` is the deadline of each command.
    """

    def __init__(
        self, program: Path, kubeconfig: dict[str, Any], home: Path, namespace: str, *, seconds: float = RUN_SECONDS
    ) -> None:
        self._seconds = seconds
        self._program = program
        self._home = home
        self.namespace = namespace
        kubeconfig["contexts"][0]["context"]["namespace"] = namespace
        home.mkdir(parents=True, exist_ok=True)
        (home / "kubeconfig").write_text(yaml.safe_dump(kubeconfig))

    async def run(self, *arguments: str, stdin: str = "") -> Outcome:
        """The command to its end."""
        process = await self.start(*arguments)
        async with asyncio.timeout(self._seconds):
            out, err = await process.communicate(stdin.encode())
        return Outcome(process.returncode or 0, out.decode(), err.decode())

    async def ok(self, *arguments: str, stdin: str = "") -> str:
        """What the command prints; it must succeed."""
        outcome = await self.run(*arguments, stdin=stdin)
        assert outcome.code == 0, f"{arguments}: {outcome.err}{outcome.out}"
        return outcome.out

    async def start(self, *arguments: str) -> asyncio.subprocess.Process:
        """The command as a running process."""
        return await asyncio.create_subprocess_exec(
            self._program,
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={**os.environ, "KUBECONFIG": str(self._home / "kubeconfig"), "HOME": str(self._home)},
        )


def program(name: str) -> Path:
    """A real program: of the directory that KECS_STATE_REAL_BINARIES names, or one built here."""
    given = os.environ.get("KECS_STATE_REAL_BINARIES")
    if given:
        return Path(given) / name
    try:
        return binary(name)
    except RealError as error:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{error} (or name a directory with it in KECS_STATE_REAL_BINARIES)")


class Running:
    """A command that goes on until the end of the block; its output line by line."""

    def __init__(self, tool: Tool, *arguments: str) -> None:
        self._tool = tool
        self._arguments = arguments

    async def __aenter__(self) -> Self:
        self._process = await self._tool.start(*self._arguments)
        return self

    async def line(self) -> str:
        """The next line it prints."""
        assert self._process.stdout is not None
        async with asyncio.timeout(RUN_SECONDS):
            return (await self._process.stdout.readline()).decode()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with suppress(ProcessLookupError):
            self._process.terminate()
        await self._process.communicate()
