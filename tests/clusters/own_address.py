"""A server container's own address: port 6443 there is always the API server's, whatever port a sandbox has."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from app.sandbox import supervisor

ADDRESS = "127.0.0.1"


@asynccontextmanager
async def own_address(state_dir: Path, name: str) -> AsyncIterator[int]:
    """Leads every connection to where the sandbox's API listens now; gives the port that stands for 6443."""

    async def lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            url = supervisor.kubeconfig(state_dir, name)["clusters"][0]["cluster"]["server"]
            behind = await asyncio.open_connection(ADDRESS, int(url.rpartition(":")[2]))
            await asyncio.gather(_copy(reader, behind[1]), _copy(behind[0], writer))
        writer.close()

    server = await asyncio.start_server(lead, ADDRESS, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def _copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while content := await source.read(65_536):
            sink.write(content)
            await sink.drain()
    sink.close()
