"""Who may talk to the service at all."""

from collections.abc import AsyncIterator

import httpx
import pytest

from app.access.tokens import Scope
from app.api.errors import BindingRefused
from app.api.guards import MAX_BODY_BYTES, check_binding
from app.settings import ServerSettings
from tests.api.serving import ServedApi


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:5380", "127.0.0.1:1", "127.8.8.8", "[::1]:80", "kecs.test:9"])
async def test_loopback_and_allowed_names_are_served(client: httpx.AsyncClient, host: str) -> None:
    """Any loopback name or address with any port is this machine, and allowed names are the user's choice."""
    assert (await client.get("/livez", headers={"Host": host})).status_code == 200


FOREIGN = ["evil.example", "evil.example:5380", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", ""]


@pytest.mark.parametrize("host", [*FOREIGN, "[x]", "user@localhost"])
async def test_foreign_host_names_are_misdirected(client: httpx.AsyncClient, host: str) -> None:
    """A name that resolves to loopback by DNS rebinding is answered with 421."""
    response = await client.get("/jobs", headers={"Host": host})
    assert response.status_code == 421
    assert response.json()["code"] == "host-not-allowed"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
@pytest.mark.parametrize("site", ["cross-site", "same-site", "something-new"])
async def test_browsers_pages_of_other_sites_are_refused(client: httpx.AsyncClient, method: str, site: str) -> None:
    """Reading is refused like writing, a preflight too."""
    response = await client.request(method, "/instances/demo/stop", headers={"Sec-Fetch-Site": site})
    assert response.status_code == 403
    assert response.json()["code"] == "cross-site-refused"
    assert not [name for name in response.headers if name.startswith("access-control-")]


@pytest.mark.parametrize("site", ["none", "same-origin"])
async def test_own_pages_and_typed_addresses_are_served(client: httpx.AsyncClient, site: str) -> None:
    """Swagger UI on the service itself works."""
    assert (await client.get("/livez", headers={"Sec-Fetch-Site": site})).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost", "file://"])
async def test_foreign_origins_are_refused(client: httpx.AsyncClient, origin: str) -> None:
    """A browser too old for Sec-Fetch-Site still sends Origin with every POST."""
    response = await client.post("/instances/demo/stop", headers={"Origin": origin})
    assert response.status_code == 403


async def test_own_origin_is_served(api: ServedApi) -> None:
    """The service's own origin, port included, is its Host."""
    response = await api.client.post("/instances/demo/stop", headers={"Origin": api.url})
    assert response.status_code == 202


async def test_a_refused_request_starts_nothing(client: httpx.AsyncClient) -> None:
    """What the guards refuse never reaches a route."""
    await client.post("/instances/demo/stop", headers={"Origin": "http://evil.example"})
    assert (await client.get("/jobs")).json()["jobs"] == []


@pytest.mark.parametrize("path", ["/livez", "/nowhere", "/docs"])
async def test_every_answer_carries_security_headers(client: httpx.AsyncClient, path: str) -> None:
    """Browsers neither sniff, frame, cache nor lend out what is served."""
    headers = (await client.get(path)).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["cache-control"] == "private, no-cache"


async def test_large_bodies_are_refused(client: httpx.AsyncClient) -> None:
    """A body over 64 KiB is 413, declared or streamed."""

    async def stream() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY_BYTES // 1024 + 1):
            yield b" " * 1024

    for content in (b" " * (MAX_BODY_BYTES + 1), stream()):
        response = await client.post("/instances/demo/stop", content=content)
        assert response.status_code == 413
        assert response.json()["code"] == "body-too-large"


async def test_bodies_that_are_not_json_are_refused(client: httpx.AsyncClient) -> None:
    """What `curl --data` sends without a header is a form; the answer says what to send."""
    response = await client.post("/instances/demo/stop", data={"mode": "skip"})
    assert response.status_code == 415
    assert "application/json" in response.json()["remedy"]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "kecs.example"])  # noqa: S104 - refused
async def test_listening_beyond_this_machine_needs_a_token(
    api: ServedApi, host: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever reaches the port must be told apart; without TLS a warning says what can be read on the way."""
    server, tokens = ServerSettings(host=host), api.app.state.services.tokens
    with pytest.raises(BindingRefused, match="no token"):
        await check_binding(server, tokens)
    await tokens.create("ci", Scope.OPERATE)
    await check_binding(server, tokens)
    assert server.needs_tokens
    assert "without TLS" in caplog.text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
async def test_listening_on_loopback_is_allowed(api: ServedApi, host: str) -> None:
    """Loopback in all its spellings."""
    server = ServerSettings(host=host)
    await check_binding(server, api.app.state.services.tokens)
    assert not server.needs_tokens
