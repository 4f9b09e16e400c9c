"""Discovery: what the API server says it serves, also of servers behind it that do not answer."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest_asyncio

from app.kubernetes.resources import API_SERVICES
from tests.contract.api import SECONDS, send
from tests.contract.world import World


async def test_discovery_lists_every_built_in_type(world: World) -> None:
    """The inventory asks discovery for what there is to save."""
    found = await world.kube.discover()
    listed = {resource.group_resource for resource in found.resources}
    assert {"configmaps", "deployments.apps", "jobs.batch", "customresourcedefinitions.apiextensions.k8s.io"} <= listed
    assert {"clusterroles.rbac.authorization.k8s.io", "ingresses.networking.k8s.io"} <= listed


async def test_discovery_says_what_cannot_be_listed(world: World) -> None:
    """Types that exist only to be asked have no list verb, so they are left out of the inventory."""
    verbs = {found.group_resource: found.verbs for found in (await world.kube.discover()).resources}
    assert "list" not in verbs["tokenreviews.authentication.k8s.io"]
    assert "list" in verbs["pods"]


async def test_one_set_of_events_has_two_names(world: World) -> None:
    """Core and events.k8s.io show the same objects: cohabiting groups are counted once."""
    listed = {found.group_resource for found in (await world.kube.discover()).resources}
    assert {"events", "events.events.k8s.io"} <= listed


async def test_subresources_are_listed_beside_their_type(world: World) -> None:
    """With a slash in the name, by which they are told apart."""
    told = await world.kube.transport.request("GET", "/apis/apps/v1")
    names = {entry["name"] for entry in told["resources"]}
    assert {"deployments", "deployments/scale", "deployments/status"} <= names


async def test_the_version_is_told(world: World) -> None:
    """For the job's record of what it met."""
    told = await world.kube.transport.request("GET", "/version")
    assert told["gitVersion"].startswith("v1.")
    assert told["major"] == "1"


async def test_readiness_is_told(world: World) -> None:
    """``ok`` in plain text: a start waits for it."""
    answer = await send(world, "GET", "/readyz")
    assert (answer.status, answer.text) == (200, "ok")
    assert await world.kube.ready()


async def test_api_services_of_the_server_itself_are_available(world: World) -> None:
    """A condition Available that is True: only others hinder a backup."""
    found = await world.kube.get(API_SERVICES, "v1.apps")
    assert {one["type"]: one["status"] for one in found["status"]["conditions"]} == {"Available": "True"}


@pytest_asyncio.fixture
async def dead(world: World, namespace: str) -> AsyncIterator[str]:
    """An API group whose server is not there; it goes at the end, since it would hold up every namespace's deletion."""
    group = f"dead-{namespace}.example.com"
    service = {"name": "none", "namespace": namespace, "port": 443}
    spec: dict[str, Any] = {"group": group, "version": "v1", "service": service, "insecureSkipTLSVerify": True}
    spec |= {"groupPriorityMinimum": 100, "versionPriority": 100}
    await world.kube.create(API_SERVICES, {"metadata": {"name": f"v1.{group}"}, "spec": spec})
    yield group
    await world.kube.delete(API_SERVICES, f"v1.{group}")


async def test_a_dead_api_service_says_so(world: World, dead: str) -> None:
    """Available is False, with a reason: the preflight waits for it, then lists the group as not saved."""

    def judged(found: dict[str, Any] | None) -> bool:
        return bool(found and (found.get("status") or {}).get("conditions"))

    found = await world.kube.wait_for(API_SERVICES, f"v1.{dead}", None, judged, timeout_seconds=SECONDS)
    assert found is not None
    [condition] = found["status"]["conditions"]
    assert (condition["type"], condition["status"], condition["reason"]) == ("Available", "False", "ServiceNotFound")
    assert condition["message"]


async def test_a_dead_group_is_listed_and_does_not_answer(world: World, dead: str) -> None:
    """Discovery names the group, its types cannot be asked for: it counts as failed, not as empty."""
    async with asyncio.timeout(SECONDS):
        while dead not in (found := await world.kube.discover()).failed_groups:
            await asyncio.sleep(0.1)
    assert not [one for one in found.resources if one.group == dead]
    assert (await send(world, "GET", f"/apis/{dead}/v1")).status == 503
    assert (await send(world, "GET", f"/apis/{dead}/v1/namespaces/default/things")).status == 503
