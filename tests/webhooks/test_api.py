"""The routes of webhooks, and callbacks of jobs, over real HTTP."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlmodel import select

from app.webhooks.models import Delivery
from tests.api.serving import CALLBACK_SECRET, ServedApi, served_api
from tests.waiting import eventually
from tests.webhooks.receiver import Answer, Receiver


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[ServedApi]:
    """The API on a loopback port."""
    async with served_api(tmp_path) as served:
        yield served


@pytest.fixture
def client(api: ServedApi) -> httpx.AsyncClient:
    """A plain HTTP client of it."""
    return api.client


async def register(client: httpx.AsyncClient, url: str = "http://127.0.0.1:1/", **fields: Any) -> dict[str, Any]:
    """A webhook as the API shows it when it is made."""
    response = await client.post("/webhooks", json={"url": url, **fields})
    assert response.status_code == 201, response.text
    webhook: dict[str, Any] = response.json()
    assert response.headers["location"] == webhook["links"]["self"] == f"/webhooks/{webhook['id']}"
    return webhook


async def settled(client: httpx.AsyncClient, webhook: dict[str, Any], status: str = "delivered") -> dict[str, Any]:
    """The newest delivery once it has that status."""
    path = webhook["links"]["deliveries"]

    async def is_so() -> bool:
        rows = (await client.get(path)).json()["deliveries"]
        return bool(rows) and rows[0]["status"] == status

    await eventually(is_so)
    delivery: dict[str, Any] = (await client.get(path)).json()["deliveries"][0]
    return delivery


async def test_a_secret_is_shown_once(client: httpx.AsyncClient) -> None:
    """When it is made and when it is replaced, and never otherwise."""
    webhook = await register(client, events=["job.failed"], description="pager")
    seen = [(await client.get(path)).text for path in (f"/webhooks/{webhook['id']}", "/webhooks")]
    seen.append((await client.patch(f"/webhooks/{webhook['id']}", json={"description": "x"})).text)
    assert not any(webhook["secret"] in text or "secret" in text.replace("secret_until", "") for text in seen)
    rotated = (await client.post(f"/webhooks/{webhook['id']}/rotate-secret")).json()
    assert rotated["secret"] not in {webhook["secret"], ""}
    assert rotated["previous_secret_until"] is not None


async def test_a_webhook_is_changed_and_deleted(client: httpx.AsyncClient) -> None:
    """What is left out stays."""
    webhook = await register(client, events=["job.failed"], description="pager")
    path = f"/webhooks/{webhook['id']}"
    changed = (await client.patch(path, json={"url": "http://localhost:2/", "enabled": False})).json()
    assert (changed["url"], changed["events"], changed["description"]) == (
        "http://localhost:2/",
        ["job.failed"],
        "pager",
    )
    assert (changed["enabled"], changed["disabled_reason"]) == (False, "switched off by request")
    enabled = (await client.patch(path, json={"enabled": True, "events": []})).json()
    assert (enabled["enabled"], enabled["disabled_at"], enabled["events"]) == (True, None, [])
    assert (await client.delete(path)).status_code == 204
    assert (await client.get(path)).json()["code"] == "webhook-not-found"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"url": "http://169.254.169.254/latest"}, "webhook-address-refused"),
        ({"url": "http://example.com/"}, "webhook-address-refused"),
        ({"url": "file:///etc/passwd"}, "webhook-address-refused"),
        ({"url": "http://127.0.0.1/", "events": ["job.exploded"]}, "invalid-request"),
        ({"url": "http://127.0.0.1/", "secret": "mine"}, "invalid-request"),
        ({}, "invalid-request"),
    ],
)
async def test_what_cannot_be_a_webhook_is_refused(client: httpx.AsyncClient, body: dict[str, Any], code: str) -> None:
    """When it is registered, and just so when it is changed."""
    response = await client.post("/webhooks", json=body)
    assert (response.status_code, response.json()["code"]) == (422, code)
    webhook = await register(client)
    if body:
        response = await client.patch(f"/webhooks/{webhook['id']}", json=body)
        assert (response.status_code, response.json()["code"]) == (422, code)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/rotate-secret"), ("POST", "/test"),
        ("GET", "/deliveries"), ("POST", "/deliveries/msg_1/replay"),
    ],
)  # fmt: skip
async def test_an_unknown_webhook_is_a_problem(client: httpx.AsyncClient, method: str, path: str) -> None:
    """On every route."""
    response = await client.request(method, f"/webhooks/nobody{path}", json={} if method == "PATCH" else None)
    assert (response.status_code, response.json()["code"]) == (404, "webhook-not-found")


async def test_webhooks_and_deliveries_come_in_pages(client: httpx.AsyncClient) -> None:
    """Newest first, each exactly once."""
    made = [(await register(client))["id"] for _ in range(5)]
    for _ in range(5):
        await client.post(f"/webhooks/{made[0]}/test")
    for path, key in (("/webhooks", "webhooks"), (f"/webhooks/{made[0]}/deliveries", "deliveries")):
        link, ids = f"{path}?page_size=2", []
        while link:
            page = (await client.get(link)).json()
            ids += [row["id"] for row in page[key]]
            link = page["next_link"]
        assert (len(ids), ids) == (5, sorted(set(ids), reverse=True))
    assert (await client.get("/webhooks?page_token=!")).json()["code"] == "invalid-page-token"


async def test_a_test_message_is_sent_whatever_is_listened_to(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """202 with the delivery, which says afterwards that it was heard."""
    webhook = await register(client, receiver.url(), events=["job.failed"])
    response = await client.post(f"/webhooks/{webhook['id']}/test")
    (got,) = await receiver.has(1)
    assert (response.status_code, response.json()["id"]) == (202, got.id)
    assert got.verified(webhook["secret"])["type"] == "webhook.test"
    delivery = await settled(client, webhook)
    assert (delivery["attempts"], delivery["last_status"], delivery["next_attempt_at"]) == (1, 204, None)


async def test_a_replay_is_the_same_message_again(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """Same id, same bytes; one that the endpoint never had is a problem."""
    webhook = await register(client, receiver.url())
    await client.post(f"/webhooks/{webhook['id']}/test")
    delivery = await settled(client, webhook)
    response = await client.post(delivery["links"]["replay"])
    assert (response.status_code, response.json()["status"]) == (202, "pending")
    first, second = await receiver.has(2)
    assert (first.id, first.body) == (second.id, second.body)
    other = await register(client, receiver.url())
    response = await client.post(f"/webhooks/{other['id']}/deliveries/{delivery['id']}/replay")
    assert (response.status_code, response.json()["code"]) == (404, "delivery-not-found")


async def test_a_disabled_webhook_refuses_tests_and_replays(client: httpx.AsyncClient, receiver: Receiver) -> None:
    """409 with the reason, here that the receiver is gone."""
    receiver.always = Answer(410)
    webhook = await register(client, receiver.url())
    await client.post(f"/webhooks/{webhook['id']}/test")
    delivery = await settled(client, webhook, "failed")
    for path in (f"/webhooks/{webhook['id']}/test", delivery["links"]["replay"]):
        problem = (await client.post(path)).json()
        assert (problem["status"], problem["code"]) == (409, "webhook-disabled")
        assert "410" in problem["detail"]
        assert "PATCH" in problem["remedy"]


async def test_jobs_are_told_to_webhooks_and_callbacks(api: ServedApi, receiver: Receiver) -> None:
    """From the request to the message, the callback signed with the service's own secret."""
    webhook = await register(api.client, receiver.url("/webhook"), events=["job.failed"])
    body = {"callback_url": receiver.url("/callback")}
    job = (await api.client.post("/instances/demo/backups", json=body)).json()
    await api.ended(job["id"])
    got = await receiver.has(3)
    callbacks = [one.verified(CALLBACK_SECRET) for one in got if one.target == "/callback"]
    assert [message["type"] for message in callbacks] == ["job.started", "job.failed"]
    (failed,) = [one.verified(webhook["secret"]) for one in got if one.target == "/webhook"]
    assert failed["data"]["job"]["error"]["code"] == "proof-failed"
    assert failed["data"]["instance_name"] == "demo"


@pytest.mark.parametrize("operation", ["stop", "start", "backups", "restores"])
async def test_a_callback_to_elsewhere_is_refused_at_once(client: httpx.AsyncClient, operation: str) -> None:
    """No job is accepted."""
    response = await client.post(f"/instances/demo/{operation}", json={"callback_url": "http://me:hunter2@10.0.0.1/"})
    assert (response.status_code, response.json()["code"]) == (422, "webhook-address-refused")
    assert "hunter2" not in response.text
    assert (await client.get("/jobs")).json()["jobs"] == []


async def test_user_and_password_are_shown_nowhere(
    api: ServedApi, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    """Not in views of webhooks, deliveries and jobs, not in events, messages and the log; they are sent, though."""
    caplog.set_level("DEBUG")
    receiver.always = Answer(500)
    url = receiver.url(user_info="me:hunter2@")
    webhook = await register(api.client, url)
    job = (await api.client.post("/instances/demo/stop", json={"callback_url": url})).json()
    await api.ended(job["id"])
    got = await receiver.has(2)

    async def logged() -> bool:
        return caplog.text.count("the receiver answered 500") >= 2

    await eventually(logged)
    paths = ["/webhooks", f"/webhooks/{webhook['id']}", webhook["links"]["deliveries"], f"/jobs/{job['id']}"]
    shown = [(await api.client.get(path)).text for path in [*paths, f"/jobs/{job['id']}/events", "/jobs"]]
    rows = await api.app.state.services.database.read(lambda session: session.execute(select(Delivery)).scalars().all())
    texts = [*shown, str(webhook), caplog.text, *(one.body.decode() for one in got), repr(rows)]
    assert not any("hunter2" in text for text in texts)
    assert webhook["url"] == receiver.url(user_info="***@")
    assert all(one.headers["authorization"].startswith("Basic ") for one in got)
