"""Accepting operations: the conventions of long-running work over HTTP."""

import httpx
import pytest

from tests.api.serving import ServedApi

JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("content", "headers"),
    [(None, {}), (b"", JSON), (b"{}", JSON), (b"{}", {}), (b"{}", {"Content-Type": "application/x+json"})],
)
async def test_every_empty_request_is_a_whole_one(
    client: httpx.AsyncClient, content: bytes | None, headers: dict[str, str]
) -> None:
    """`curl -X POST` needs neither a body nor a content type."""
    response = await client.post("/instances/demo/stop", content=content, headers=headers)
    assert response.status_code == 202, response.text


async def test_an_accepted_job_says_where_to_look(api: ServedApi) -> None:
    """202 carries the job, its Location and when to look again."""
    response = await api.client.post("/instances/demo/start")
    job = response.json()
    assert response.status_code == 202
    assert response.headers["location"] == job["links"]["self"] == f"/jobs/{job['id']}"
    assert response.headers["retry-after"] == "5"
    assert (job["type"], job["instance_name"], job["status"]) == ("start", "demo", "queued")
    assert job["links"]["cancel"] == f"/jobs/{job['id']}/cancel"


async def test_prefer_wait_answers_with_the_ended_job(client: httpx.AsyncClient) -> None:
    """Under Prefer: wait=N a job that ends in time is a 200."""
    response = await client.post("/instances/demo/stop", headers={"Prefer": "respond-async, wait=20"})
    assert response.status_code == 200
    assert response.headers["preference-applied"] == "wait=20"
    assert response.json()["status"] == "succeeded"
    assert "retry-after" not in response.headers


async def test_prefer_wait_gives_up_in_time(client: httpx.AsyncClient) -> None:
    """A job that does not end in time is a 202 as without the preference."""
    response = await client.post("/instances/demo/start", headers={"Prefer": "wait=0"})
    assert response.status_code == 202
    assert response.headers["retry-after"] == "5"


@pytest.mark.parametrize("prefer", ["wait=soon", "wait=-1", "handling=strict", "wait"])
async def test_preferences_nobody_understands_are_ignored(client: httpx.AsyncClient, prefer: str) -> None:
    """RFC 7240: a preference that cannot be honoured is not an error."""
    response = await client.post("/instances/demo/stop", headers={"Prefer": prefer})
    assert response.status_code == 202
    assert "preference-applied" not in response.headers


async def test_labels_come_back_with_the_job(client: httpx.AsyncClient) -> None:
    """Labels are the caller's own and are kept with the job."""
    job = (await client.post("/instances/demo/stop", json={"labels": {"by": "kecs"}})).json()
    assert (await client.get(f"/jobs/{job['id']}")).json()["labels"] == {"by": "kecs"}


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("start", "start"),
        ("backups", "backup"),
        ("restores", "restore"),
        ("stack/wake", "stack-wake"),
        ("stack/sleep", "stack-sleep"),
    ],
)
async def test_every_operation_is_a_job_of_its_type(client: httpx.AsyncClient, path: str, kind: str) -> None:
    """One route per operation, one type per route."""
    response = await client.post(f"/instances/demo/{path}")
    assert response.status_code == 202, response.text
    assert response.json()["type"] == kind


async def test_instances_are_listed_with_their_state(client: httpx.AsyncClient) -> None:
    """Both lists and single views carry the power state."""
    instances = (await client.get("/instances")).json()["instances"]
    assert {"demo": "running", "off": "stopped"}.items() <= {i["name"]: i["state"] for i in instances}.items()
    assert (await client.get("/instances/off")).json()["state"] == "stopped"


async def test_an_unknown_backup_is_not_found(client: httpx.AsyncClient) -> None:
    """A backup is looked up before anything is accepted."""
    assert (await client.get("/instances/demo/backups")).json()["backups"] == []
    response = await client.get("/instances/demo/backups/nothing")
    assert (response.status_code, response.json()["code"]) == (404, "backup-not-found")


async def test_nothing_outstanding_cannot_be_accepted(client: httpx.AsyncClient) -> None:
    """Accepting is for a restore that is due."""
    response = await client.post("/instances/demo/restore-outstanding/accept")
    assert (response.status_code, response.json()["code"]) == (409, "no-restore-outstanding")
