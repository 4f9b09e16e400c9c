"""Tokens over HTTP: who is let in, who is not, and what is kept of it."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.access.audit import AuditStore
from app.access.tokens import Scope
from app.settings import ServerSettings
from tests.api.serving import ServedApi, served_api
from tests.api.test_problems import problem_of


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[ServedApi]:
    """The API where every caller needs a token."""
    async with served_api(tmp_path, ServerSettings(require_token=True)) as served:
        yield served


async def bearer(api: ServedApi, scope: Scope, name: str = "someone") -> dict[str, str]:
    """The header of a new token."""
    return {"Authorization": f"Bearer {await api.app.state.services.tokens.create(name, scope)}"}


async def test_without_a_token_there_is_a_challenge(guarded: ServedApi) -> None:
    """401 says how to authenticate, and nothing of what is behind it."""
    for path in ("/instances", "/jobs", "/metrics", "/readyz", "/nowhere"):
        response = await guarded.client.get(path)
        problem_of(response, 401, "token-required")
        assert response.headers["www-authenticate"] == 'Bearer realm="kecs-state"'


@pytest.mark.parametrize(
    "sent", ["Bearer kecs_nothing", "Bearer", "Basic dTpw", "kecs_x", "Bearer a b", "Bearer " + "x" * 9000]
)
async def test_a_wrong_token_is_named_as_that(guarded: ServedApi, sent: str) -> None:
    """Also where it is no token at all."""
    response = await guarded.client.get("/instances", headers={"Authorization": sent})
    problem_of(response, 401, "token-invalid")
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


async def test_a_reader_looks_and_an_operator_acts(guarded: ServedApi) -> None:
    """403 for what the scope does not allow, with the challenge that names the scope."""
    reader = await bearer(guarded, Scope.READ, "viewer")
    assert (await guarded.client.get("/instances", headers=reader)).status_code == 200
    response = await guarded.client.post("/instances/demo/stop", headers=reader)
    problem_of(response, 403, "scope-too-small")
    assert 'scope="operate"' in response.headers["www-authenticate"]
    problem_of(await guarded.client.get("/audit", headers=reader), 403, "scope-too-small")
    operator = await bearer(guarded, Scope.OPERATE)
    assert (await guarded.client.post("/instances/demo/stop", headers=operator)).status_code == 202


async def test_a_revoked_token_is_refused_at_once(guarded: ServedApi) -> None:
    """No restart, no cache."""
    token = await bearer(guarded, Scope.OPERATE)
    assert (await guarded.client.get("/instances", headers=token)).status_code == 200
    await guarded.app.state.services.tokens.revoke("someone")
    problem_of(await guarded.client.get("/instances", headers=token), 401, "token-invalid")


@pytest.mark.parametrize("path", ["/livez", "/docs", "/openapi.json", "/docs/static/swagger-ui.css"])
async def test_what_tells_nothing_is_open(guarded: ServedApi, path: str) -> None:
    """A probe of life, and the page that people authorise on."""
    assert (await guarded.client.get(path)).status_code == 200


async def test_a_token_that_is_sent_is_checked_even_where_none_is_needed(api: ServedApi) -> None:
    """A client with a revoked token learns of it before it needs it."""
    assert (await api.client.get("/instances")).status_code == 200
    problem_of(await api.client.get("/instances", headers={"Authorization": "Bearer x"}), 401, "token-invalid")


async def test_a_refusal_comes_before_the_body_is_read(guarded: ServedApi) -> None:
    """Nobody without a token has anything parsed."""
    response = await guarded.client.post("/instances/demo/stop", content=b"{" * 100_000)
    problem_of(response, 401, "token-required")


async def test_what_changes_something_is_recorded(api: ServedApi) -> None:
    """Who, what and how it was answered; looking is nobody's business."""
    token = await bearer(api, Scope.OPERATE, "ci")
    await api.client.post("/instances/demo/stop", headers=token)
    await api.client.post("/instances/nobody/stop?x=1")
    await api.client.get("/instances")
    events = (await api.client.get("/audit")).json()["events"]
    assert [(e["caller"], e["method"], e["path"], e["status"]) for e in events] == [
        ("local", "POST", "/instances/nobody/stop", 404),
        ("ci", "POST", "/instances/demo/stop", 202),
    ]


async def test_a_change_is_recorded_before_it_is_answered(api: ServedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the database takes, who has the answer finds the record."""
    add = AuditStore.add

    async def slowly(store: AuditStore, **event: Any) -> None:
        await asyncio.sleep(0.2)
        await add(store, **event)

    monkeypatch.setattr(AuditStore, "add", slowly)
    await api.client.post("/instances/nobody/stop")
    assert [event["status"] for event in (await api.client.get("/audit")).json()["events"]] == [404]


async def test_the_record_is_read_in_pages(api: ServedApi) -> None:
    """Newest first, each once."""
    for number in range(5):
        await api.client.post(f"/instances/nobody{number}/stop")
    seen, link = [], "/audit?page_size=2"
    while link:
        page = (await api.client.get(link)).json()
        seen += [event["path"] for event in page["events"]]
        link = page["next_link"]
    assert seen == [f"/instances/nobody{number}/stop" for number in reversed(range(5))]
    for token in ("!", "bm90aGluZw", "x" * 600):
        assert (await api.client.get("/audit", params={"page_token": token})).status_code == 422


async def test_refused_callers_fill_no_disk(guarded: ServedApi, caplog: pytest.LogCaptureFixture) -> None:
    """They are logged, without what they sent."""
    with caplog.at_level(logging.WARNING):
        await guarded.client.post("/instances/demo/stop", headers={"Authorization": "Bearer hunter2"})
    assert await guarded.app.state.services.audit.list(before=None, limit=10) == []
    assert "token" in caplog.text
    assert "hunter2" not in caplog.text


async def test_the_document_says_that_tokens_may_be_sent(api: ServedApi) -> None:
    """With or without one: where it is needed depends on the service."""
    document = (await api.client.get("/openapi.json")).json()
    assert document["security"] == [{}, {"token": []}]
    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
