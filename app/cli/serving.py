"""Running the service in this process until a signal ends it."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import ssl
import sys
from collections.abc import Iterator
from typing import Any

import typer
import uvicorn

from app.api.connections import bounded_protocol
from app.cli.errors import CommandError, Exit
from app.errors import ServiceError
from app.jobs.claim import Claim
from app.logs import configure
from app.main import create_app
from app.settings import ServerSettings, Settings

logger = logging.getLogger(__name__)

#: Requests that still wait (long polls) are cut off after this; jobs are journaled and need no grace here.
GRACE_SECONDS = 2
#: Longer than clients keep idle connections (httpx 5 s, Go's net/http 90 s): whoever closes first must be the client,
#: or a POST sent at that moment is lost and, not being idempotent, not sent again.
KEEP_ALIVE_SECONDS = 120
#: Connections that wait to be accepted. All of them are, in one turn of the loop, before any can be made to give way:
#: together with those that are open they must not take all descriptors (256 on macOS).
BACKLOG = 64
#: How each driver is announced.
_WORLDS = {
    "k3d": "k3d",
    "command": "clusters switched by commands of yours",
    "sandbox": "with the embedded SANDBOX: no cluster here is real",
}


def run_service(settings: Settings) -> None:
    """Serve until SIGINT or SIGTERM; raises ``CommandError`` when it cannot begin."""
    configure(settings.log_level, settings.log_format)
    try:
        asyncio.run(_serve(settings))
    except ServiceError as error:
        raise CommandError.of_problem(error.problem()) from None
    except OSError as error:
        where = f"{settings.server.host}:{settings.server.port}"
        raise CommandError(
            "Cannot serve", f"{where}: {error.strerror or error}", remedy="Choose another port with --port."
        ) from None


async def _serve(settings: Settings) -> None:
    check_tls(settings.server)
    if settings.server.port == 0:
        # Bound first, so that everything that names the service's URL knows it.
        listener = bind(settings.server)
        settings.server.port = listener.getsockname()[1]
    else:
        listener = None
    app = create_app(settings)
    config = uvicorn.Config(
        app,
        http=bounded_protocol(settings.server),
        backlog=BACKLOG,
        lifespan="off",  # entered here, so that a failure to begin comes out as what it is
        log_config=None,
        log_level="warning",
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        ssl_certfile=settings.server.tls_certificate,
        ssl_keyfile=settings.server.tls_key,
    )
    async with app.router.lifespan_context(app):
        listener = listener or bind(settings.server)
        claim: Claim = app.state.services.claim
        server = _Server(config, settings)
        watching = asyncio.create_task(_end_when_lost(claim, server), name="watch the host's claim")
        await server.serve(sockets=[listener])
        watching.cancel()
    await _end_what_is_left()
    claim.raise_if_lost()


async def _end_when_lost(claim: Claim, server: uvicorn.Server) -> None:
    """End in order once another process works this host's jobs: there is nothing left to do here."""
    await claim.until_lost()
    server.should_exit = True


def check_tls(server: ServerSettings) -> None:
    """Read the certificate and its key before anything is opened; raises ``CommandError`` naming what is wrong."""
    if server.tls_certificate is None:
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(server.tls_certificate, server.tls_key)
    except OSError as error:  # an SSLError is one too
        raise CommandError(
            "Cannot serve HTTPS",
            f"{server.tls_certificate} and {server.tls_key}: {error.strerror or error}",
            remedy="Name a certificate and its key as PEM files that this user may read.",
        ) from None


async def _end_what_is_left() -> None:
    """A task that swallows its cancellation would keep the process for ever: everything of worth is journaled."""
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE_SECONDS)
    if left:
        names = ", ".join(sorted(task.get_name() for task in left))
        logger.error("ended hard, with these still running: %s", names, extra={"action": "shutdown-overrun"})
        logging.shutdown()
        os._exit(Exit.FAILED)


def bind(server: ServerSettings) -> socket.socket:
    """The socket that callers connect to; raises OSError.

    Each connection sends at once (TCP_NODELAY, which it has from this socket): an answer goes out as its head and then
    its body, and the body would wait for the caller's acknowledgement of the head, which takes 40 ms. asyncio sees to
    that by itself only for sockets of its own making.
    """
    family = socket.AF_INET6 if ":" in server.host else socket.AF_INET
    listener = socket.create_server((server.host, server.port), family=family, backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


class _Server(uvicorn.Server):
    """Ends on a signal without raising it again: what the lifespan opened must be closed in order."""

    def __init__(self, config: uvicorn.Config, settings: Settings) -> None:
        super().__init__(config)
        self._settings = settings

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then say where."""
        await super().startup(sockets)
        url = self._settings.server.url
        typer.echo(f"kecs-state serves {url} ({_WORLDS[self._settings.driver]}); Swagger UI at {url}/docs")
        sys.stdout.flush()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handlers on the loop; nothing is raised again at the end."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """The first signal ends gracefully; a second one of any kind at once."""
        if self.should_exit:
            raise SystemExit(Exit.INTERRUPTED)
        super().handle_exit(sig, frame)
