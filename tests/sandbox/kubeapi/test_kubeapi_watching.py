"""Watches."""

import asyncio
from pathlib import Path

from tests.sandbox.api_server import running_api
from tests.sandbox.kubeapi.conftest import Client, connected


async def test_a_watch_replays_what_happened_since(client: Client) -> None:
    """Every change after the version of a list arrives, in order."""
    version = (await client.get(client.path("secrets")))["metadata"]["resourceVersion"]
    await client.create(client.path("secrets"), "a")
    await client.ok("DELETE", client.path("secrets", "a"))
    async with client.watch(client.path("secrets"), resourceVersion=version) as events:
        assert [(await anext(events))[0] for _ in range(2)] == ["ADDED", "DELETED"]


async def test_a_watch_without_a_version_begins_with_what_is_there(client: Client) -> None:
    """Then it follows."""
    await client.create(client.path("secrets"), "a")
    async with client.watch(client.path("secrets")) as events:
        first = await anext(events)
        await client.patch(client.path("secrets", "a"), {"metadata": {"labels": {"a": "b"}}})
        second = await anext(events)
    assert (first[0], second[0]) == ("ADDED", "MODIFIED")


async def test_leaving_the_selection_is_a_deletion(client: Client) -> None:
    """For a watch by labels."""
    await client.create(client.path("secrets"), "a", metadata={"labels": {"a": "b"}})
    async with client.watch(client.path("secrets"), labelSelector="a=b") as events:
        await anext(events)
        await client.patch(client.path("secrets", "a"), {"metadata": {"labels": {"a": None}}})
        assert (await anext(events))[0] == "DELETED"


async def test_initial_events_end_with_a_bookmark(client: Client) -> None:
    """A streamed list tells when it is complete."""
    await client.create(client.path("secrets"), "a")
    query = {"sendInitialEvents": "true", "allowWatchBookmarks": "true", "resourceVersionMatch": "NotOlderThan"}
    async with client.watch(client.path("secrets"), **query) as events:
        assert (await anext(events))[0] == "ADDED"
        kind, bookmark = await anext(events)
    assert kind == "BOOKMARK"
    assert bookmark["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_watch_ends_at_its_deadline(client: Client) -> None:
    """The server closes the stream."""
    async with client.watch(client.path("secrets"), timeoutSeconds="1") as events, asyncio.timeout(10):
        assert [event async for event in events] == []


async def test_a_forgotten_past_is_gone(directory: Path) -> None:
    """After compaction a watch gets one ERROR with code 410."""
    async with running_api(directory, "--history", "3") as api, connected(api) as client:
        version = (await client.get("/api/v1/namespaces"))["metadata"]["resourceVersion"]
        for number in range(5):
            await client.create("/api/v1/namespaces/default/configmaps", f"c{number}")
        async with client.watch("/api/v1/namespaces", resourceVersion=version) as events:
            kind, status = await anext(events)
    assert (kind, status["code"], status["reason"]) == ("ERROR", 410, "Expired")
