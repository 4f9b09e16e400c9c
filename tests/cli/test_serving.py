"""How the service listens."""

import socket

from app.cli.serving import bind
from app.settings import ServerSettings


def test_every_connection_sends_at_once() -> None:
    """Else the body of each answer waits for the caller to acknowledge its head."""
    with bind(ServerSettings(port=0)) as listener, socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
