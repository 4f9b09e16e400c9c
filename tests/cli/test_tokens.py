"""Tokens and TLS from the command line, with the service as a process of its own."""

import datetime as dt
import json
import ssl
from ipaddress import ip_address
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.cli.commands import Ended, command
from tests.service import running_service


async def token_command(state_dir: Path, *arguments: str) -> Ended:
    """A token command on a sandbox's database."""
    return await command("", "token", *arguments, "--sandbox", "--state-dir", str(state_dir))


async def test_a_token_is_all_that_is_printed(tmp_path: Path) -> None:
    """So that a script can take it; it is nowhere to be seen again."""
    made = await token_command(tmp_path, "create", "ci")
    assert made.code == 0, made.err
    (token,) = made.out.split()
    assert token.startswith("kecs_")
    listed = await token_command(tmp_path, "list")
    assert "ci" in listed.out
    assert token not in listed.out + listed.err
    (entry,) = json.loads((await token_command(tmp_path, "list", "--json")).out)
    assert (entry["name"], entry["scope"], entry["revoked_at"]) == ("ci", "operate", None)


async def test_mistakes_have_remedies(tmp_path: Path) -> None:
    """A name twice, an unknown one, a scope there is not."""
    assert (await token_command(tmp_path, "create", "ci", "--json")).code == 0
    taken = await token_command(tmp_path, "create", "ci")
    assert (taken.code, "What to do" in taken.err) == (1, True)
    unknown = await token_command(tmp_path, "revoke", "nobody")
    assert (unknown.code, "kecs-state token list" in unknown.err) == (1, True)
    assert (await token_command(tmp_path, "create", "x", "--scope", "all")).code == 2


async def test_a_service_beyond_loopback_needs_a_token(tmp_path: Path) -> None:
    """It refuses to listen without one; with one, callers must show it, and a revoked one is refused at once."""
    wide = {"SERVER__HOST": "0.0.0.0"}  # noqa: S104 - that is what is tested
    with pytest.raises(AssertionError, match="kecs-state token create"):
        async with running_service(tmp_path, **wide):
            pass
    token = (await token_command(tmp_path, "create", "ci")).out.strip()
    async with running_service(tmp_path, token=token, **wide) as service:
        url = str(service.client.base_url)
        # DNS rebinding needs a name, so addresses are served, and names only where they are listed.
        for host, status in (("10.1.2.3:5380", 200), ("[fd00::1]", 200), ("evil.example", 421)):
            assert (await service.client.get("/jobs", headers={"Host": host})).status_code == status
        assert (await command(url, "jobs")).code == 1
        assert (await command(url, "jobs", KECS_STATE_TOKEN=token)).code == 0
        assert (await token_command(tmp_path, "revoke", "ci")).code == 0
        refused = await command(url, "jobs", KECS_STATE_TOKEN=token)
        assert (refused.code, "not valid" in refused.err) == (1, True)
    assert token not in service.log.read_text()


async def test_the_service_speaks_tls(tmp_path: Path) -> None:
    """With a certificate of one's own, which the command line trusts when it is told to."""
    certificate, key = write_certificate(tmp_path)
    files = {"SERVER__TLS_CERTIFICATE": str(certificate), "SERVER__TLS_KEY": str(key)}
    async with running_service(tmp_path, trusted=ssl.create_default_context(cafile=certificate), **files) as service:
        url = f"https://127.0.0.1:{service.port}"
        assert (await command(url, "jobs", KECS_STATE_CA_FILE=str(certificate))).code == 0
        unknown = await command(url, "jobs")
        assert (unknown.code, "certificate" in unknown.err) == (3, True)
        async with httpx.AsyncClient() as plain:
            with pytest.raises(httpx.TransportError):
                await plain.get(f"http://127.0.0.1:{service.port}/livez")


async def test_a_certificate_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Before anything is opened; half a pair is a usage error."""
    nothing = str(tmp_path / "nothing.pem")
    home = ("--home", str(tmp_path / "home"))
    ended = await command("", "serve", "--tls-certificate", nothing, "--tls-key", nothing, *home)
    assert (ended.code, nothing in ended.err) == (1, True)
    half = await command("", "serve", "--tls-certificate", nothing, *home)
    assert (half.code, "together" in half.err) == (2, True)


def write_certificate(directory: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1, signed by itself, and its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "kecs-state")])
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    files = directory / "certificate.pem", directory / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain))
    return files
