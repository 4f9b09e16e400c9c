"""Running the programs behind a power driver: no shell, bounded output, and an end for the ones that overrun."""

import asyncio
import os
import re
import signal
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import BinaryIO

from app.errors import ClusterCommandError
from app.logs import redacted
from app.settings import Settings

#: A kubeconfig has some kB; a list of every container of a machine stays below 1 MB.
MAX_STDOUT_BYTES = 4 * 1024**2
#: What is kept of standard error: its end, where programs say why they failed.
MAX_STDERR_BYTES = 16 * 1024
#: Of that, this much is quoted in a problem.
QUOTED_CHARACTERS = 1000
#: Between SIGTERM and SIGKILL.
GRACE_SECONDS = 2.0
#: A child that outlives the program may hold the outputs open; nothing of the program's own comes after this.
LAST_OUTPUT_SECONDS = 0.2
#: The service's own settings are not for other programs: one may hold the database's password.
_OWN_VARIABLES = tuple(f"KECS_STATE_{name.upper()}" for name in Settings.model_fields)
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")
_PEM = re.compile(r"-----BEGIN .*?(-----END [^-]+-----|\Z)", re.DOTALL)


@dataclass(frozen=True)
class Finished:
    """How a program ended. ``stdout`` may hold keys: it is never quoted or logged. ``stderr`` is its readable end."""

    code: int
    stdout: bytes = field(repr=False)
    stderr: str

    @property
    def quoted(self) -> str:
        """The end of standard error on one line, for a problem document."""
        return " ".join(self.stderr.split())[-QUOTED_CHARACTERS:] or "nothing on standard error"


async def run(arguments: Sequence[str], seconds: float, *, remedy: str) -> Finished:
    """Run a program to its end, whatever its exit code is.

    Raises ``ClusterCommandError`` when it cannot be run, is not done after ``seconds``, or prints more than
    ``MAX_STDOUT_BYTES``. Then, and when the caller is cancelled, it is ended with its whole process group. What it
    leaves running when it ends in time is not touched, and need not close the outputs.
    """
    try:
        async with _started(arguments) as program:
            await _until_done(program, arguments, seconds, remedy)
    except OSError as error:
        raise ClusterCommandError(
            f"{shown(arguments)} cannot be run: {error.strerror or error}", remedy=remedy
        ) from None
    if program.stdout.overflown:
        raise ClusterCommandError(
            f"{shown(arguments)} printed more than {MAX_STDOUT_BYTES:,} bytes and was ended", remedy=remedy
        )
    return program.finished()


async def _until_done(program: "_Program", arguments: Sequence[str], seconds: float, remedy: str) -> None:
    try:
        async with asyncio.timeout(seconds):
            await program.process.wait()
    except TimeoutError:
        raise ClusterCommandError(
            f"{shown(arguments)} was not done after {seconds:g} s and was ended: {program.finished().quoted}",
            remedy=f"Run it yourself to see what it waits for. {remedy}",
        ) from None
    await program.last_output()


async def run_well(arguments: Sequence[str], seconds: float, *, remedy: str) -> Finished:
    """The same; any exit code but 0 is a ``ClusterCommandError`` that quotes the end of standard error."""
    finished = await run(arguments, seconds, remedy=remedy)
    if finished.code != 0:
        raise failure(arguments, finished, remedy=remedy)
    return finished


def failure(arguments: Sequence[str], finished: Finished, *, remedy: str) -> ClusterCommandError:
    """The error of a program that ended with another exit code than 0."""
    return ClusterCommandError(f"{shown(arguments)} {_ending(finished.code)}: {finished.quoted}", remedy=remedy)


def shown(arguments: Sequence[str]) -> str:
    """A command as a problem may show it."""
    return f"the command {redacted(' '.join(arguments))[:300]!r}"


class _Output(asyncio.Protocol):
    """One output of a program, read as it fills, so that the program never waits for us."""

    def __init__(self, limit: int, on_overflow: Callable[[], None] | None = None) -> None:
        self.content = bytearray()
        self.overflown = False
        self.closed = asyncio.Event()
        self._limit = limit
        self._on_overflow = on_overflow

    def data_received(self, data: bytes) -> None:
        """Keep it; over the limit, keep the end, or give the program up if the beginning matters."""
        self.content += data
        if len(self.content) > self._limit:
            del self.content[: -self._limit]
            if self._on_overflow is not None and not self.overflown:
                self.overflown = True
                self._on_overflow()

    def connection_lost(self, _exc: Exception | None) -> None:
        """Nothing more will come."""
        self.closed.set()


@dataclass(frozen=True)
class _Program:
    process: Process
    stdout: _Output
    stderr: _Output

    def finished(self) -> Finished:
        """What is known by now."""
        return Finished(self.process.returncode or 0, bytes(self.stdout.content), _readable(self.stderr.content))

    async def last_output(self) -> None:
        """What is still in the pipes of a program that has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(LAST_OUTPUT_SECONDS):
                await self.stdout.closed.wait()
                await self.stderr.closed.wait()


@asynccontextmanager
async def _started(arguments: Sequence[str]) -> AsyncIterator[_Program]:
    """The program in a session of its own; ended with its group unless it has ended by itself."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
    stdout = _Output(MAX_STDOUT_BYTES, on_overflow=lambda: _signal_group(process, signal.SIGKILL))
    stderr = _Output(MAX_STDERR_BYTES)
    async with AsyncExitStack() as opened:
        with await _pipe_into(stdout, opened) as out, await _pipe_into(stderr, opened) as err:
            process = await asyncio.create_subprocess_exec(
                *arguments, stdin=DEVNULL, stdout=out, stderr=err, env=environment, start_new_session=True
            )
        try:
            yield _Program(process, stdout, stderr)
        finally:
            if process.returncode is None:
                await _end_group(process)


async def _pipe_into(output: _Output, opened: AsyncExitStack) -> BinaryIO:
    """The writable end of a pipe that leads to ``output``.

    Not asyncio's own pipes: it ties the end of a program to theirs, which a child may hold open for ever.
    """
    readable, writable = os.pipe()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(lambda: output, os.fdopen(readable, "rb", 0))
    opened.callback(transport.close)
    return os.fdopen(writable, "wb", 0)


async def _end_group(process: Process) -> None:
    """SIGTERM, and SIGKILL for whatever of the group is left after the grace."""
    _signal_group(process, signal.SIGTERM)
    try:
        await _wait_briefly(process)
    finally:
        _signal_group(process, signal.SIGKILL)
    # Bounded as well: one that runs under another user's id cannot be signalled by us.
    await _wait_briefly(process)


async def _wait_briefly(process: Process) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(GRACE_SECONDS):
            await process.wait()


def _signal_group(process: Process, number: signal.Signals) -> None:
    """The program leads its own group, so its id names the group as long as anything of it lives."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _ending(code: int) -> str:
    """How a program ended, in words."""
    if code >= 0:
        return f"failed with exit code {code}"
    try:
        return f"was ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"was ended by signal {-code}"


def _readable(content: bytearray) -> str:
    """Standard error without colours, control characters, and what looks like a secret."""
    text = _TERMINAL.sub("", content.decode(errors="replace"))
    return redacted(_PEM.sub("***", text)).strip()
