"""Errors: one form, with a code, and nothing of the inside."""

import asyncio
import socket
from typing import Any

import httpx
import pytest

from tests.api.serving import ServedApi


def problem_of(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """The problem document, its invariants checked."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["code"]) == (status, code)
    assert problem["type"] == f"urn:kecs-state:problem:{code}"
    assert problem["title"]
    assert problem["detail"]
    return problem


async def test_unknown_paths_are_problems(client: httpx.AsyncClient) -> None:
    """The framework's own 404 has our form and names the request's URI."""
    problem = problem_of(await client.get("/nowhere/at all?x=1"), 404, "route-not-found")
    assert problem["instance"] == "/nowhere/at%20all?x=1"


async def test_wrong_methods_are_problems(client: httpx.AsyncClient) -> None:
    """405 keeps its Allow header."""
    response = await client.delete("/instances/demo/stop")
    problem_of(response, 405, "method-not-allowed")
    assert response.headers["allow"] == "POST"


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("nobody", 404, "instance-not-found"),
        ("kecs-demo", 422, "invalid-instance-name"),
        ("Not%20a%20name", 422, "invalid-instance-name"),
        ("..%2f..%2fetc", 404, "route-not-found"),
        ("x" * 46, 422, "invalid-instance-name"),
    ],
)
async def test_instance_names_are_checked_at_once(client: httpx.AsyncClient, name: str, status: int, code: str) -> None:
    """A wrong name is answered synchronously, with what to do."""
    problem = problem_of(await client.post(f"/instances/{name}/stop"), status, code)
    assert problem["remedy"]


async def test_what_may_pass_says_when_to_come_again(client: httpx.AsyncClient) -> None:
    """A temporary error carries Retry-After."""
    response = await client.get("/instances/lost/preflight")
    response = response if response.status_code == 503 else await client.post("/instances/lost/stop")
    problem_of(response, 503, "cluster-state-unknown")
    assert int(response.headers["retry-after"]) > 0


async def test_a_second_operation_names_the_first(api: ServedApi) -> None:
    """409 carries the active job's id and the instance's name."""
    first = (await api.client.post("/instances/demo/start")).json()
    problem = problem_of(await api.client.post("/instances/demo/stop"), 409, "operation-in-progress")
    assert (problem["job_id"], problem["instance_name"]) == (first["id"], "demo")


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"bakcup": {}}, "#/bakcup"),
        ({"backup": {"mode": "maybe"}}, "#/backup/mode"),
        ({"timeout_seconds": -1}, "#/timeout_seconds"),
        ({"timeout_seconds": "soon"}, "#/timeout_seconds"),
        ({"labels": {"a/b": 7}}, "#/labels/a~1b"),
        ({"backup": []}, "#/backup"),
        ([], "#"),
        ("text", "#"),
    ],
)
async def test_invalid_fields_are_pointed_at(client: httpx.AsyncClient, body: object, pointer: str) -> None:
    """Every invalid field has a JSON pointer and a sentence."""
    problem = problem_of(await client.post("/instances/demo/stop", json=body), 422, "invalid-request")
    assert [error["pointer"] for error in problem["errors"]] == [pointer]
    assert problem["errors"][0]["location"] == "body"


async def test_values_are_not_echoed(client: httpx.AsyncClient) -> None:
    """A secret in the wrong field does not come back in the answer."""
    response = await client.post("/instances/demo/stop", json={"backup": "hunter2", "timeout_seconds": "hunter2"})
    assert response.status_code == 422
    assert "hunter2" not in response.text


@pytest.mark.parametrize("content", [b"{", b"{'a': 1}", b"\xff\xfe", b"[" * 60_000])
async def test_broken_json_is_a_problem(client: httpx.AsyncClient, content: bytes) -> None:
    """What cannot be read as JSON is 400."""
    response = await client.post("/instances/demo/stop", content=content, headers={"Content-Type": "application/json"})
    problem_of(response, 400, "malformed-body")


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("stop", {"backup": {"validate": "restore-test"}}, "backup.validate"),
    ],
)
async def test_fields_not_built_yet_are_refused(
    client: httpx.AsyncClient, path: str, body: dict[str, Any], field: str
) -> None:
    """A promise of the API that cannot be kept yet is refused by name, with what works instead."""
    problem = problem_of(await client.post(f"/instances/demo/{path}", json=body), 422, "not-supported")
    assert problem["field"] == field
    assert problem["remedy"]


async def test_unexpected_errors_say_nothing_of_the_inside(api: ServedApi) -> None:
    """A crash in a route is a problem without the exception's text."""
    api.app.state.services = None
    response = await api.client.get("/jobs")
    assert "NoneType" not in response.text
    problem_of(response, 500, "internal-error")


async def test_a_request_without_host_is_a_problem(api: ServedApi) -> None:
    """HTTP/1.0 clients may leave Host out; that is answered, not served."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(api.url.rsplit(":", 1)[1]), family=socket.AF_INET)
    writer.write(b"GET /livez HTTP/1.0\r\n\r\n")
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 421")
