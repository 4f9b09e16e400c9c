"""What becomes of a connection whose request was given up."""

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.kubernetes.kubeconfig import Endpoint
from app.kubernetes.transport import Transport
from app.sandbox.kubeapi.pki import ensure_certificates


@contextmanager
def silent_server(directory: Path) -> Iterator[Endpoint]:
    """A double of an API server that shakes hands and then never says a word, not even goodbye."""
    authority, certificate, key = ensure_certificates(directory)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    held: list[ssl.SSLSocket] = []

    def hold(listener: socket.socket) -> None:
        with contextlib.suppress(OSError):  # the listener is closed at the end
            while True:
                held.append(context.wrap_socket(listener.accept()[0], server_side=True))

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=hold, args=(listener,))
        thread.start()
        try:
            yield Endpoint(server=f"https://127.0.0.1:{listener.getsockname()[1]}", ca=authority.read_text())
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(10)
            for each in held:
                each.close()


async def give_up(endpoint: Endpoint) -> None:
    """One request, cancelled while its answer is waited for."""
    transport = Transport(endpoint)
    request = asyncio.create_task(transport.request("GET", "/version"))
    await asyncio.sleep(0.3)  # long enough for the request to be on its way
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    await transport.close()


def test_a_cancelled_request_leaves_no_open_connection(tmp_path: Path) -> None:
    """Closing the transport ends it, also when the server never answers the goodbye of TLS."""
    with silent_server(tmp_path) as endpoint, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always", ResourceWarning)
        asyncio.run(give_up(endpoint))
        gc.collect()
    assert [str(each.message) for each in warned if "unclosed" in str(each.message)] == []
