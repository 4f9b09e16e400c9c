"""Watches: where they begin, what they tell, and how they end."""

import pytest

from app.kubernetes.errors import KubernetesNotFound
from app.kubernetes.resources import CONFIG_MAPS, Resource
from tests.contract.api import make, refusal, watching
from tests.contract.world import World


async def test_a_watch_tells_every_change(world: World, namespace: str) -> None:
    """Made, changed, deleted, in this order: waiting for Velero is built on it."""
    version = (await world.kube.list(CONFIG_MAPS, namespace)).resource_version
    selected = {"resourceVersion": version, "fieldSelector": "metadata.name=one"}
    async with watching(world, CONFIG_MAPS.path(namespace), **selected) as events:
        await make(world, namespace, "one")
        await world.kube.merge_patch(CONFIG_MAPS, "one", {"data": {"key": "new"}}, namespace)
        await world.kube.delete(CONFIG_MAPS, "one", namespace)
        assert [kind for kind, _ in await events.names(3)] == ["ADDED", "MODIFIED", "DELETED"]


async def test_a_watch_goes_on_where_another_ended(world: World, namespace: str) -> None:
    """From a version of the past every change since then comes, none twice."""
    [made] = await make(world, namespace, "before")
    await make(world, namespace, "after")
    version = made["metadata"]["resourceVersion"]
    chosen = "metadata.name!=kube-root-ca.crt"
    async with watching(world, CONFIG_MAPS.path(namespace), resourceVersion=version, fieldSelector=chosen) as events:
        assert await events.names(1) == [("ADDED", "after")]


async def test_a_watch_from_nowhere_tells_what_is_there(world: World, namespace: str) -> None:
    """Without a version it begins with everything as ADDED."""
    await make(world, namespace, "one")
    async with watching(world, CONFIG_MAPS.path(namespace), fieldSelector="metadata.name=one") as events:
        await make(world, namespace, "two")
        await world.kube.merge_patch(CONFIG_MAPS, "one", {"data": {"key": "new"}}, namespace)
        assert await events.names(2) == [("ADDED", "one"), ("MODIFIED", "one")]


async def test_a_watch_of_one_name(world: World, namespace: str) -> None:
    """Other objects do not disturb whoever waits for one."""
    async with watching(world, CONFIG_MAPS.path(namespace), fieldSelector="metadata.name=wanted") as events:
        await make(world, namespace, "other", "wanted")
        assert await events.names(1) == [("ADDED", "wanted")]


async def test_an_object_that_leaves_the_selection_is_deleted(world: World, namespace: str) -> None:
    """A watch by label ends with DELETED for an object that is relabelled, though it lives on."""
    await make(world, namespace, "one", labels={"watched": "yes"})
    async with watching(world, CONFIG_MAPS.path(namespace), labelSelector="watched=yes") as events:
        await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"labels": {"watched": "no"}}}, namespace)
        await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"labels": {"watched": "yes"}}}, namespace)
        assert [kind for kind, _ in await events.names(3)] == ["ADDED", "DELETED", "ADDED"]


async def test_a_deletion_is_told_under_its_own_version(world: World, namespace: str) -> None:
    """Newer than every version the object had, so a watch can go on from it; the last content is there."""
    [made] = await make(world, namespace, "one")
    async with watching(world, CONFIG_MAPS.path(namespace), fieldSelector="metadata.name=one") as events:
        await events.next(1)
        await world.kube.delete(CONFIG_MAPS, "one", namespace)
        [event] = await events.next(1)
    assert (event["type"], event["object"]["data"]) == ("DELETED", {"key": "one"})
    assert int(event["object"]["metadata"]["resourceVersion"]) > int(made["metadata"]["resourceVersion"])


async def test_a_deletion_that_waits_is_told_twice(world: World, namespace: str) -> None:
    """MODIFIED with a time of deletion when it begins, DELETED when the last finalizer goes."""
    await make(world, namespace, "one", finalizers=["example.com/hold"])
    async with watching(world, CONFIG_MAPS.path(namespace), fieldSelector="metadata.name=one") as events:
        await events.next(1)
        await world.kube.delete(CONFIG_MAPS, "one", namespace)
        [begun] = await events.next(1)
        await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)
        [ended] = await events.next(1)
    assert (begun["type"], ended["type"]) == ("MODIFIED", "DELETED")
    assert begun["object"]["metadata"]["deletionTimestamp"]


async def test_a_watch_ends_when_asked_to(world: World, namespace: str) -> None:
    """After timeoutSeconds, orderly: the service's own watches end so every four minutes."""
    async with watching(world, CONFIG_MAPS.path(namespace), timeoutSeconds="1", labelSelector="no=thing") as events:
        assert await events.rest() == []


async def test_a_bookmark_comes_before_the_end(world: World, namespace: str) -> None:
    """So a watch that was told nothing still knows a version that is not too old to go on from.

    In a watch of less than some ten seconds the real server does not always get round to it.
    """
    version = (await world.kube.list(CONFIG_MAPS, namespace)).resource_version
    asked = {"timeoutSeconds": "11", "allowWatchBookmarks": "true", "labelSelector": "no=thing"}
    async with watching(world, CONFIG_MAPS.path(namespace), resourceVersion=version, **asked) as events:
        [made] = await make(world, namespace, "not-told")
        found = await events.rest()
    assert {(event["type"], event["object"]["kind"]) for event in found} == {("BOOKMARK", "ConfigMap")}
    assert int(found[-1]["object"]["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


@pytest.mark.newer_kubernetes("watch lists are switched off; the service never asks for one")
async def test_a_watch_list_marks_the_end_of_the_beginning(world: World, namespace: str) -> None:
    """kubectl waits for that bookmark; its version is that of the whole list."""
    [made] = await make(world, namespace, "one", labels={"chosen": "yes"})
    asked = {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan", "allowWatchBookmarks": "true"}
    async with watching(world, CONFIG_MAPS.path(namespace), labelSelector="chosen=yes", **asked) as events:
        added, bookmark = await events.next(2)
    assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    assert int(bookmark["object"]["metadata"]["resourceVersion"]) >= int(made["metadata"]["resourceVersion"])


async def test_a_watch_list_must_say_which_version(world: World, namespace: str) -> None:
    """422 without resourceVersionMatch."""
    query = "?watch=true&sendInitialEvents=true&timeoutSeconds=1"
    status, reason, message = await refusal(world, "GET", CONFIG_MAPS.path(namespace) + query)
    assert (status, reason) == (422, "Invalid")
    assert "resourceVersionMatch" in message


async def test_a_watch_of_the_future_waits(world: World, namespace: str) -> None:
    """A version that is not there yet is no error: nothing comes until then."""
    asked = {"resourceVersion": "900000000", "timeoutSeconds": "1"}
    async with watching(world, CONFIG_MAPS.path(namespace), **asked) as events:
        await make(world, namespace, "one")
        assert await events.rest() == []


async def test_a_type_that_is_not_there_cannot_be_watched(world: World, namespace: str) -> None:
    """404 at once, not a watch that stays silent."""
    nothing = Resource("none.example.com", "v1", "nones", "None", True)
    with pytest.raises(KubernetesNotFound):
        async with watching(world, nothing.path(namespace)):
            pass


async def test_a_watch_across_namespaces(world: World, namespace: str) -> None:
    """One watch sees all namespaces, including the making of a new one."""
    async with watching(world, CONFIG_MAPS.path(), labelSelector=f"told={namespace}") as events:
        await make(world, namespace, "one", labels={"told": namespace})
        await make(world, "default", f"one-{namespace}", labels={"told": namespace})
        found = await events.next(2)
    assert {event["object"]["metadata"]["namespace"] for event in found} == {namespace, "default"}
    await world.kube.delete(CONFIG_MAPS, f"one-{namespace}", "default")


async def test_many_changes_come_in_order(world: World, namespace: str) -> None:
    """None is lost and none overtakes another, however fast they come."""
    async with watching(world, CONFIG_MAPS.path(namespace), fieldSelector="metadata.name=one") as events:
        await make(world, namespace, "one")
        for number in range(30):
            await world.kube.merge_patch(CONFIG_MAPS, "one", {"data": {"key": str(number)}}, namespace)
        found = [event["object"]["data"]["key"] for event in await events.next(31)]
    assert found == ["one", *map(str, range(30))]
