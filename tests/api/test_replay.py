"""Requests sent twice: an idempotency key makes one job of them."""

import asyncio

import httpx
import pytest

from app.api.replay import KeysInFlight
from app.jobs.repository import RequestKey
from tests.api.serving import ServedApi
from tests.api.test_problems import problem_of

KEY = {"Idempotency-Key": "01990b6e-5f8e-7cc1-b1a4-3f1f7a2b9d10"}


async def test_a_request_sent_again_is_answered_with_its_job(client: httpx.AsyncClient) -> None:
    """The second answer names the same job, and says that it is a replay."""
    first = await client.post("/instances/demo/stop", json={}, headers=KEY)
    again = await client.post("/instances/demo/stop", json={}, headers=KEY)
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json()["id"] == again.json()["id"]
    assert "idempotency-replayed" not in first.headers
    assert again.headers["idempotency-replayed"] == "true"
    assert len((await client.get("/jobs")).json()["jobs"]) == 1


async def test_quotes_around_a_key_change_nothing(client: httpx.AsyncClient) -> None:
    """The draft's structured string and the bare form most clients send are the same key."""
    first = (await client.post("/instances/demo/stop", headers={"Idempotency-Key": "abc"})).json()
    again = (await client.post("/instances/demo/stop", headers={"Idempotency-Key": '"abc"'})).json()
    assert first["id"] == again["id"]


async def test_a_replay_comes_before_every_check(api: ServedApi) -> None:
    """While the first job is active, its replay is no conflict; another request is."""
    first = (await api.client.post("/instances/demo/start", headers=KEY)).json()
    again = await api.client.post("/instances/demo/start", headers=KEY)
    assert again.json()["id"] == first["id"]
    problem_of(await api.client.post("/instances/demo/start"), 409, "operation-in-progress")


async def test_a_replay_may_wait_for_the_end(client: httpx.AsyncClient) -> None:
    """Prefer: wait works for a replay as for the first request."""
    await client.post("/instances/demo/stop", headers=KEY)
    response = await client.post("/instances/demo/stop", headers=KEY | {"Prefer": "wait=20"})
    assert (response.status_code, response.json()["status"]) == (200, "succeeded")


@pytest.mark.parametrize(
    ("path", "body"), [("/instances/demo/stop", {"labels": {"a": "b"}}), ("/instances/many0/stop", None)]
)
async def test_a_key_belongs_to_one_request(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
    """Another body or another instance under the same key is a mistake of the caller, named as that."""
    first = (await client.post("/instances/demo/stop", headers=KEY)).json()
    response = await client.post(path, json=body, headers=KEY) if body else await client.post(path, headers=KEY)
    assert problem_of(response, 422, "idempotency-key-reused")["job_id"] == first["id"]


async def test_a_refused_request_uses_up_no_key(client: httpx.AsyncClient) -> None:
    """Only what was accepted is replayed."""
    problem_of(await client.post("/instances/nobody/stop", headers=KEY), 404, "instance-not-found")
    assert (await client.post("/instances/demo/stop", headers=KEY)).status_code == 202


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "ä"])
async def test_keys_that_are_none_are_refused(client: httpx.AsyncClient, key: str) -> None:
    """A key is 1 to 255 visible ASCII characters."""
    headers = [(b"Idempotency-Key", key.encode("latin-1"))]
    problem_of(await client.post("/instances/demo/stop", headers=headers), 400, "invalid-idempotency-key")


async def test_many_at_once_make_one_job(client: httpx.AsyncClient) -> None:
    """Whoever comes while the first is being accepted gets its job, or is told to come again."""
    responses = await asyncio.gather(*(client.post("/instances/demo/stop", headers=KEY) for _ in range(12)))
    assert {response.status_code for response in responses} <= {202, 409}
    assert len({response.json()["id"] for response in responses if response.status_code == 202}) == 1
    assert {r.json()["code"] for r in responses if r.status_code == 409} <= {"request-in-flight"}
    assert len((await client.get("/jobs")).json()["jobs"]) == 1


async def test_a_key_in_flight_is_held_by_one_request() -> None:
    """The second request with a key is refused until the first one is through, however that ends."""
    keys, key = KeysInFlight(), RequestKey("abc", "f")
    async with keys.accepting(key), keys.accepting(None), keys.accepting(RequestKey("other", "f")):
        with pytest.raises(Exception, match="still being accepted"):
            async with keys.accepting(key):
                pass
    async with keys.accepting(key):
        pass


async def test_requests_without_a_job_take_no_key(client: httpx.AsyncClient) -> None:
    """A key that would promise nothing is refused, never ignored."""
    response = await client.post("/instances/demo/restore-outstanding/accept", headers=KEY)
    assert problem_of(response, 422, "not-supported")["field"] == "Idempotency-Key"
