"""Receivers behind TLS: the connection goes to an address, the certificate is checked by the name."""

import ssl
from pathlib import Path

import pytest

from app.sandbox.kubeapi.pki import ensure_certificates
from app.webhooks.addresses import Addresses
from tests.webhooks.conftest import Office
from tests.webhooks.receiver import Receiver, listening


async def on_loopback(_name: str, _port: int) -> list[str]:
    """A resolver."""
    return ["127.0.0.1"]


@pytest.fixture
def office(office: Office) -> Office:
    """One that knows where localhost is."""
    office.addresses = Addresses([], on_loopback)
    return office


async def test_a_trusted_receiver_is_asked_for_by_its_name(
    office: Office, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's certificates count, and OpenSSL's variable for more of them."""
    authority, certificate, key = ensure_certificates(tmp_path / "pki")
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    asked: list[str | None] = []
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    tls.sni_callback = lambda _socket, name, _context: asked.append(name)
    async with listening(Receiver(), tls) as receiver, office.delivering():
        await office.job(callback_url=f"https://localhost:{receiver.port}/hook")
        (got,) = await receiver.has(1)
    assert got.verified(office.secret)["type"] == "job.started"
    assert asked == ["localhost"]


async def test_an_unknown_certificate_is_a_failed_attempt(office: Office, tmp_path: Path) -> None:
    """Nothing of the message is sent; the reason is recorded."""
    _, certificate, key = ensure_certificates(tmp_path / "pki")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    async with listening(Receiver(), tls) as receiver, office.delivering():
        await office.job(callback_url=f"https://localhost:{receiver.port}/hook")
        delivery = await office.settled("pending", attempts=1)
    assert receiver.got == []
    assert "certificate verify failed" in delivery.last_error
