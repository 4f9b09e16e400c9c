"""The list-watch loop: whatever the server does, the consumer learns the state, soon and at a bearable rate."""

import asyncio
import time
from contextlib import aclosing

import pytest

from app.errors import StepTimeout
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesForbidden
from app.kubernetes.resources import CONFIG_MAPS, SECRETS
from tests.kubernetes.conftest import Playing
from tests.kubernetes.scripted import config_map, event, page, silence, status, streams

A1, A2, B3 = config_map("a", 1), config_map("a", 2), config_map("b", 3)
EXPIRED = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version"}
QUIET = streams(then="stay")


async def told(kube: KubeClient, number: int, *, name: str | None = None, seconds: float = 10) -> list[tuple[str, str]]:
    """The first events of a watch, as type and ``name@version``."""
    found: list[tuple[str, str]] = []
    async with asyncio.timeout(seconds), aclosing(kube.watch(CONFIG_MAPS, "default", name=name)) as events:
        async for each in events:
            metadata = each.object["metadata"]
            found.append((each.type, f"{metadata['name']}@{metadata.get('resourceVersion', '')}"))
            if len(found) == number:
                break
    return found


@pytest.mark.parametrize(
    "expiry", [status(410, "Expired"), streams(event("ERROR", EXPIRED))], ids=["as status", "as event"]
)
async def test_an_expired_watch_lists_again_and_tells_what_was_missed(playing: Playing, expiry: object) -> None:
    """Between the lists one object went and one came."""
    async with playing(list=[page(2, A2), page(9, B3)], watch=[expiry, QUIET]) as (server, kube):
        assert await told(kube, 3) == [("ADDED", "a@2"), ("DELETED", "a@2"), ("ADDED", "b@3")]
        assert len(server.seen("list")) == 2


async def test_events_between_list_and_watch_are_not_lost(kube: KubeClient, namespace: str) -> None:
    """A real server replays what happened since the list's version: two changes made while the watch was away."""
    events = kube.watch(SECRETS, namespace)
    await kube.create(SECRETS, {"metadata": {"name": "a"}}, namespace)
    async with asyncio.timeout(10), aclosing(events):
        assert (await anext(events)).type == "ADDED"  # listed; the watch is opened by the next call only
        await kube.merge_patch(SECRETS, "a", {"stringData": {"k": "v"}}, namespace)
        await kube.delete(SECRETS, "a", namespace)
        assert [(await anext(events)).type for _ in range(2)] == ["MODIFIED", "DELETED"]


async def test_what_happens_during_a_new_list_is_told(playing: Playing) -> None:
    """The new list is of version 5; what came after it is in the watch from 5 on."""
    late = streams(event("ADDED", config_map("late", 6)), then="stay")
    async with playing(list=[page(1, A1), page(5, A1)], watch=[status(410), late]) as (server, kube):
        assert (await told(kube, 2))[-1] == ("ADDED", "late@6")
        assert server.seen("watch")[-1].query["resourceVersion"] == "5"


async def test_a_watch_that_ends_goes_on_from_its_last_bookmark(playing: Playing) -> None:
    """No new list, and the server need not remember anything older than the bookmark."""
    bookmark = streams(event("MODIFIED", A2), event("BOOKMARK", {"metadata": {"resourceVersion": "70"}}))
    async with playing(list=[page(1, A1)], watch=[bookmark, streams(event("ADDED", config_map("b", 71)))]) as both:
        server, kube = both
        assert await told(kube, 3) == [("ADDED", "a@1"), ("MODIFIED", "a@2"), ("ADDED", "b@71")]
        assert [request.query["resourceVersion"] for request in server.seen("watch")] == ["1", "70"]
        assert len(server.seen("list")) == 1


async def test_an_object_made_anew_between_lists_was_deleted_in_between(playing: Playing) -> None:
    """The same name with another uid is another object."""
    lists = [page(1, A1), page(9, config_map("a", 8, uid="another"))]
    async with playing(list=lists, watch=[status(410), QUIET]) as (_, kube):
        assert await told(kube, 3) == [("ADDED", "a@1"), ("DELETED", "a@1"), ("ADDED", "a@8")]


@pytest.mark.parametrize("lines", [(), (event("MODIFIED", A2),)], ids=["empty", "one event each"])
async def test_a_server_that_closes_each_watch_at_once_is_not_asked_hotly(
    playing: Playing, lines: tuple[dict[str, object], ...]
) -> None:
    """Pauses of 0.1, 0.2, 0.4 … seconds: four or five watches in 1.2 s, not a thousand."""
    async with playing(list=[page(1, A1)], watch=[streams(*lines)]) as (server, kube):
        with pytest.raises(TimeoutError):
            await told(kube, 100, seconds=1.2)
        assert 2 <= len(server.seen("watch")) <= 6


@pytest.mark.parametrize("silent", [silence, QUIET], ids=["before its head", "after its head"])
async def test_a_silent_watch_is_noticed_within_its_deadline(playing: Playing, silent: object) -> None:
    """Half a second here; the new list then tells what the dead connection could not."""
    async with playing(list=[page(1, A1), page(2, A2)], watch=[silent, QUIET]) as (_, kube):
        began = time.monotonic()
        assert await told(kube, 2) == [("ADDED", "a@1"), ("MODIFIED", "a@2")]
        assert 0.4 < time.monotonic() - began < 3


@pytest.mark.parametrize(
    "broken",
    [
        streams(then="break"),
        streams('{"type": "MODI'),
        streams("<html>502</html>\n"),
        streams("[1]\n"),
        streams('{"type": "MODIFIED"}\n'),
        status(502),
    ],
    ids=["reset", "cut in a line", "a proxy's page", "no object", "no object in it", "502"],
)
async def test_a_broken_watch_is_mended_by_a_new_list(playing: Playing, broken: object) -> None:
    """Nothing that is not an event reaches the consumer."""
    async with playing(list=[page(1, A1), page(2, A2)], watch=[broken, QUIET]) as (_, kube):
        assert await told(kube, 2) == [("ADDED", "a@1"), ("MODIFIED", "a@2")]


async def test_a_watch_told_to_come_back_later_comes_back_later(playing: Playing) -> None:
    """429 with Retry-After does not end the watch, and is not answered by hurry."""
    async with playing(list=[page(1, A1), page(2, A2)], watch=[status(429, Retry_After="1"), QUIET]) as (_, kube):
        began = time.monotonic()
        assert len(await told(kube, 2)) == 2
        assert 1.0 <= time.monotonic() - began < 3


@pytest.mark.parametrize(
    "refusal",
    [status(403, "Forbidden"), streams(event("ERROR", {"code": 403, "message": "no"}))],
    ids=["status", "event"],
)
async def test_a_forbidden_watch_ends_with_the_reason(playing: Playing, refusal: object) -> None:
    """It will not pass by itself, so nobody is left to wait for it."""
    async with playing(list=[page(1)], watch=[refusal]) as (_, kube):
        with pytest.raises(KubernetesForbidden):
            await told(kube, 1)


async def test_a_long_line_is_one_event(playing: Playing) -> None:
    """Five MiB, more than the library's own watch can take."""
    large = config_map("a", 2) | {"data": {"k": "x" * 5 * 2**20}}
    async with playing(list=[page(1, A1)], watch=[streams(event("MODIFIED", large), then="stay")]) as (_, kube):
        assert (await told(kube, 2))[-1] == ("MODIFIED", "a@2")


async def test_a_named_object_that_is_not_there_is_told_as_deleted_once(playing: Playing) -> None:
    """Who waits for its end must learn that it is over, and not twice."""
    lists = [page(1, A1), page(2), page(3, config_map("a", 3))]
    async with playing(list=lists, watch=[status(410), status(410), QUIET]) as (server, kube):
        assert await told(kube, 3, name="a") == [("ADDED", "a@1"), ("DELETED", "a@1"), ("ADDED", "a@3")]
        assert server.seen("watch")[0].query["fieldSelector"] == "metadata.name=a"


async def test_every_watch_states_its_end_and_asks_for_bookmarks(playing: Playing) -> None:
    """Without ``timeoutSeconds`` the server chooses, half an hour or more."""
    async with playing(list=[page(1, A1)], watch=[QUIET]) as (server, kube):
        with pytest.raises(TimeoutError):
            await told(kube, 2, seconds=0.3)
        query = server.seen("watch")[0].query
        assert (query["timeoutSeconds"], query["allowWatchBookmarks"]) == ("1", "true")


async def test_cancelling_a_watch_closes_its_connection(playing: Playing) -> None:
    """The server sees it go at once; a watch left open would cost it memory until its end."""
    async with playing(list=[page(1, A1)], watch=[QUIET]) as (server, kube):
        watching = asyncio.create_task(told(kube, 2))
        while not server.seen("watch"):
            await asyncio.sleep(0.01)
        watching.cancel()
        async with asyncio.timeout(0.4):  # less than the silence after which the client would go by itself
            await server.left.wait()


async def test_a_wait_survives_a_server_that_is_not_there_at_first(playing: Playing) -> None:
    """Its first look is as patient as the watch behind it."""
    async with playing(list=[status(503), page(1, A1)], watch=[QUIET]) as (_, kube):
        found = await kube.wait_for(CONFIG_MAPS, "a", "default", lambda each: each is not None, timeout_seconds=5)
        assert found == A1


async def test_a_wait_in_vain_ends_at_its_deadline(kube: KubeClient, namespace: str) -> None:
    """It names what it waited for."""
    with pytest.raises(StepTimeout, match="ConfigMap 'never'"):
        await kube.wait_for(CONFIG_MAPS, "never", namespace, lambda each: each is not None, timeout_seconds=0.3)
