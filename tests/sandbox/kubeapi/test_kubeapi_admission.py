"""Webhooks that answer: what they change, and whom they are asked about."""

import base64
import json
from typing import Any

from aiohttp import web

from tests.sandbox.kubeapi.conftest import Client
from tests.sandbox.kubeapi.test_kubeapi_cluster import HOOKS, serving, webhook


class Recorder:
    """Allows everything, patches ``patch`` in, and remembers what it was asked."""

    def __init__(self, patch: list[dict[str, Any]] | None = None) -> None:
        self.requests: list[dict[str, Any]] = []
        self._patch = patch

    async def answer(self, request: web.Request) -> web.Response:
        review = await request.json()
        self.requests.append(review["request"])
        response: dict[str, Any] = {"uid": review["request"]["uid"], "allowed": True}
        if self._patch is not None:
            response |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(self._patch).encode()).decode()}
        return web.json_response({**review, "response": response})


async def test_a_mutating_webhook_changes_the_object(client: Client) -> None:
    """Its JSON patch is in what is stored."""
    hook = Recorder([{"op": "add", "path": "/metadata/labels", "value": {"marked": "yes"}}])
    path = f"{HOOKS}/mutatingwebhookconfigurations"
    async with serving(hook.answer) as url:
        await client.ok("POST", path, webhook(client, {"url": url}))
        created = await client.create(client.path("secrets"), "a")
        await client.ok("DELETE", f"{path}/{client.namespace}")
    assert created["metadata"]["labels"] == {"marked": "yes"}
    assert hook.requests[0]["object"]["metadata"]["name"] == "a"


async def test_webhooks_are_asked_only_about_what_they_selected(client: Client) -> None:
    """Rules, namespace selector and object selector all have to match."""
    hook = Recorder()
    path = f"{HOOKS}/validatingwebhookconfigurations"
    selector = {"matchExpressions": [{"key": "guarded", "operator": "Exists"}]}
    async with serving(hook.answer) as url:
        await client.ok("POST", path, webhook(client, {"url": url}, objectSelector=selector))
        await client.create(client.path("secrets"), "other")
        await client.create(client.path("configmaps"), "other", metadata={"labels": {"guarded": "1"}})
        await client.create(client.path("secrets"), "asked", metadata={"labels": {"guarded": "1"}})
        await client.ok("DELETE", f"{path}/{client.namespace}")
    assert [request["name"] for request in hook.requests] == ["asked"]


async def test_a_dry_run_passes_admission(client: Client) -> None:
    """So that somebody can learn beforehand whether a webhook would refuse."""
    path = f"{HOOKS}/validatingwebhookconfigurations"
    config = {"url": "https://127.0.0.1:1/"}
    await client.ok("POST", path, webhook(client, config, timeoutSeconds=1))
    status, answer = await client.request("POST", client.path("secrets"), {"metadata": {"name": "a"}}, dryRun="All")
    await client.ok("DELETE", f"{path}/{client.namespace}")
    assert (status, answer["reason"]) == (500, "InternalError")
