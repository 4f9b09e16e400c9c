"""ETags: who has an answer already is not sent it again."""

from hashlib import sha256

import httpx
import pytest

from app.api.revalidation import tag_of
from tests.api.serving import ServedApi


@pytest.mark.parametrize("path", ["/jobs", "/instances/demo", "/instances", "/openapi.json", "/images"])
async def test_the_same_answer_is_not_sent_twice(client: httpx.AsyncClient, path: str) -> None:
    """304 carries the tag and no body; another tag gets the whole answer."""
    tag = (await client.get(path)).headers["etag"]
    for known in (tag, f'W/{tag}, "x"', "*"):
        response = await client.get(path, headers={"If-None-Match": known})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", tag)
        assert "content-type" not in response.headers
    assert (await client.get(path, headers={"If-None-Match": '"x"'})).status_code == 200


async def test_a_job_that_went_on_has_another_tag(api: ServedApi) -> None:
    """Polling with If-None-Match costs no body until something has changed."""
    job = (await api.client.post("/instances/demo/start")).json()
    await api.gate.held.wait()
    polled = await api.client.get(f"/jobs/{job['id']}")
    known = {"If-None-Match": polled.headers["etag"]}
    unchanged = await api.client.get(f"/jobs/{job['id']}", headers=known)
    assert (unchanged.status_code, unchanged.headers["retry-after"]) == (304, "5")
    api.gate.opened.set()
    changed = await api.client.get(f"/jobs/{job['id']}", params={"wait": 20}, headers=known)
    assert (changed.status_code, changed.json()["status"]) == (200, "succeeded")


async def test_problems_and_other_media_have_no_tag(client: httpx.AsyncClient) -> None:
    """Only a whole JSON answer is named by its content."""
    for path in ("/jobs/nothing", "/metrics", "/docs"):
        assert "etag" not in (await client.get(path)).headers


def test_a_tag_tells_of_every_byte_of_a_long_answer() -> None:
    """Hashed in pieces, as whole."""
    body = bytes(range(256)) * 40

    assert tag_of(body) == f'"{sha256(body).hexdigest()[:32]}"'
    assert len({tag_of(body[:at] + b"!" + body[at + 1 :]) for at in (0, 2046, 2047, 4094, len(body) - 1)}) == 5
