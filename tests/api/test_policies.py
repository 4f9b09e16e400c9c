"""The policy of an instance over HTTP: whole or not at all, and never over what the caller has not read."""

import json
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.serving import ServedApi

PATH = "/instances/demo/policy"


@pytest.fixture
def record(tmp_path: Path) -> Path:
    """The file that is the truth."""
    return tmp_path / "instances" / "demo" / "config.json"


async def test_an_instance_without_a_policy_follows_the_settings(client: httpx.AsyncClient, record: Path) -> None:
    """And looking makes no record of it."""
    view = (await client.get(PATH)).json()
    assert set(view["set"].values()) == {None}
    assert (view["effective"]["keep_last"], view["effective"]["validate"]) == (5, "deep")
    assert view["sources"] | {"use_velero_backup": "rollout"} == view["sources"]
    assert set(view["sources"].values()) == {"setting", "rollout"}
    assert not record.exists()


async def test_what_is_put_holds_and_says_where_it_comes_from(client: httpx.AsyncClient, record: Path) -> None:
    """The file is the truth, by the names of the API."""
    response = await client.put(PATH, json={"keep_last": 2, "validate": "quick"})
    view = response.json()
    assert (view["effective"]["keep_last"], view["sources"]["keep_last"]) == (2, "policy")
    assert any("unprotected" in note for note in view["notes"])
    assert json.loads(record.read_text())["policy"]["validate"] == "quick"
    read = await client.get(PATH)
    assert (read.json(), read.headers["etag"]) == (view, response.headers["etag"])


async def test_a_put_replaces_the_whole_policy(client: httpx.AsyncClient) -> None:
    """What is left out, or null, is the setting's again."""
    await client.put(PATH, json={"keep_last": 2, "stack": "resident"})
    view = (await client.put(PATH, json={"keep_last": None})).json()
    assert (view["sources"]["keep_last"], view["sources"]["stack"]) == ("setting", "setting")


async def test_a_policy_is_not_put_over_what_the_caller_has_not_read(client: httpx.AsyncClient) -> None:
    """412 with another's change in between; weak tags never match."""
    tag = (await client.get(PATH)).headers["etag"]
    assert (await client.put(PATH, json={"keep_last": 2}, headers={"If-Match": tag})).status_code == 200
    for known in (tag, '"x"', f"W/{(await client.get(PATH)).headers['etag']}"):
        refused = await client.put(PATH, json={"keep_last": 9}, headers={"If-Match": known})
        assert (refused.status_code, refused.json()["code"]) == (412, "precondition-failed")
    assert (await client.get(PATH)).json()["set"]["keep_last"] == 2
    assert (await client.put(PATH, json={}, headers={"If-Match": "*"})).status_code == 200


@pytest.mark.parametrize(
    ("body", "code", "named"),
    [
        ({"keep_lost": 3}, "invalid-request", "keep_lost"),
        ({"validate_level": "quick"}, "invalid-request", "validate_level"),
        ({"keep_last": 0}, "invalid-request", "keep_last"),
        ({"exclude_namespaces": ["no/such"]}, "invalid-request", "exclude_namespaces"),
        ({"use_velero_backup": False, "volumes": "refuse"}, "contradicting-policy", "volumes"),
        ({"exclude_namespaces": ["web", "kube-system"]}, "contradicting-policy", "kube-system"),
        ({"exclude_namespaces": ["*"]}, "contradicting-policy", "'*'"),
        ({"backup_timeout_seconds": 901}, "contradicting-policy", "backup_timeout_seconds"),
        ({"job_timeout_seconds": 100}, "contradicting-policy", "its whole job"),
    ],
)
async def test_what_cannot_hold_changes_nothing(
    client: httpx.AsyncClient, record: Path, body: dict[str, Any], code: str, named: str
) -> None:
    """422, and the problem names the field."""
    await client.put(PATH, json={"keep_last": 3})
    before = record.read_bytes()
    refused = await client.put(PATH, json={"stack": "resident"} | body)
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (422, code)
    assert named in problem["detail"]
    assert problem["remedy"]
    assert record.read_bytes() == before


async def test_a_whole_policy_is_wanted(client: httpx.AsyncClient) -> None:
    """An empty POST is a wish for the defaults; an empty PUT would forget every decision."""
    assert (await client.put(PATH)).status_code == 422


async def test_what_another_version_has_written_is_kept_and_named(client: httpx.AsyncClient, record: Path) -> None:
    """It is not ours to lose, nor can it be put back by a caller."""
    await client.put(PATH, json={"keep_last": 3})
    document = json.loads(record.read_text())
    document["policy"]["mirror"] = "elsewhere"
    record.write_text(json.dumps(document | {"later": 1}))
    view = (await client.put(PATH, json={"keep_last": 4})).json()
    after = json.loads(record.read_text())
    assert (after["policy"]["mirror"], after["policy"]["keep_last"], after["later"]) == ("elsewhere", 4, 1)
    assert "mirror" in view["notes"][-1]
    assert "mirror" not in view["set"]


async def test_no_policy_changes_under_a_job(api: ServedApi) -> None:
    """A job has one policy from its beginning to its end."""
    await api.client.post("/instances/demo/start")
    await api.gate.held.wait()
    refused = await api.client.put(PATH, json={"keep_last": 1})
    assert (refused.status_code, refused.json()["code"]) == (409, "operation-in-progress")
    assert (await api.client.get(PATH)).json()["set"]["keep_last"] is None


async def test_a_jobs_deadline_is_the_policys(client: httpx.AsyncClient) -> None:
    """Unless the request asks for another."""
    await client.put(PATH, json={"job_timeout_seconds": 5000})
    for body, seconds in (({}, 5000), ({"timeout_seconds": 70}, 70)):
        job = (await client.post("/instances/demo/stop", json=body, headers={"Prefer": "wait=20"})).json()
        # Both times are taken while the job is accepted.
        created, deadline = (job[key] for key in ("created_at", "deadline_at"))
        assert seconds_from(created, deadline) == pytest.approx(seconds, abs=10)


def seconds_from(earlier: str, later: str) -> float:
    """Between two times of the API."""
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


async def test_changes_of_a_policy_are_audited(client: httpx.AsyncClient) -> None:
    """As every request that changes something, whether it did or not."""
    await client.put(PATH, json={"keep_last": 0})
    await client.put(PATH, json={"keep_last": 1})
    events = (await client.get("/audit")).json()["events"]
    assert [(event["method"], event["path"], event["status"]) for event in events] == [
        ("PUT", PATH, 200),
        ("PUT", PATH, 422),
    ]


async def test_nobody_has_a_policy_who_is_not_there(client: httpx.AsyncClient) -> None:
    """Nor is a directory made for a wrong name."""
    assert (await client.put("/instances/nobody/policy", json={})).status_code == 404
    assert (await client.get("/instances/nobody/policy")).status_code == 404
