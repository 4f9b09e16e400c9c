"""Custom types: how they come to be served, what their schema does, and what discovery says of them."""

import asyncio
from collections.abc import AsyncIterator
from itertools import count
from typing import Any

import pytest
import pytest_asyncio

from app.kubernetes.resources import API_SERVICES, CRDS, Resource
from app.velero.stack.crds import established
from tests.contract.api import MERGE, SECONDS, Object, refusal, send, until_gone, watching
from tests.contract.world import Answer, World

SPEC: Object = {
    "type": "object",
    "required": ["size"],
    "properties": {
        "size": {"type": "integer", "minimum": 1},
        "mode": {"type": "string", "enum": ["deep", "quick"], "default": "deep"},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True},
        "names": {"type": "array", "nullable": True, "items": {"type": "string"}},
    },
}
SCHEMA: Object = {
    "type": "object",
    "properties": {"spec": SPEC, "status": {"type": "object", "properties": {"phase": {"type": "string"}}}},
}


def version(name: str, **more: Any) -> Object:
    """One version of a type, served but not stored."""
    return {"name": name, "served": True, "storage": False, "schema": {"openAPIV3Schema": SCHEMA}} | more


def definition(group: str, *versions: Object) -> Object:
    """A namespaced type ``things`` of a group."""
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"things.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"},
            "versions": [*versions] or [version("v1", storage=True)],
        },
    }


async def serve(world: World, group: str, *versions: Object) -> Resource:
    """Define the type and wait until its objects can be listed."""
    await world.kube.create(CRDS, definition(group, *versions))
    things = Resource(group, "v1", "things", "Thing", True)
    async with asyncio.timeout(SECONDS):
        while (await send(world, "GET", things.path())).status != 200:
            await asyncio.sleep(0.05)
    return things


async def established_definition(world: World, group: str) -> Object:
    """The definition once the server says that it serves the type."""
    found = await world.kube.wait_for(
        CRDS, f"things.{group}", None, lambda one: one is not None and established(one), timeout_seconds=SECONDS
    )
    assert found is not None
    return found


@pytest_asyncio.fixture
async def group(world: World, namespace: str) -> AsyncIterator[str]:
    """The name of a group that only this test uses; its type goes at the end."""
    name = f"{namespace}.example.com"
    yield name
    await world.kube.delete(CRDS, f"things.{name}")


def thing(group: str, name: str = "one", **spec: Any) -> Object:
    """An object of the type."""
    return {"apiVersion": f"{group}/v1", "kind": "Thing", "metadata": {"name": name}, "spec": {"size": 1} | spec}


async def test_a_definition_is_established(world: World, group: str) -> None:
    """The condition that installing Velero's types waits for."""
    await world.kube.create(CRDS, definition(group))
    found = await established_definition(world, group)
    assert found["status"]["storedVersions"] == ["v1"]
    assert found["status"]["acceptedNames"]["plural"] == "things"


async def first_answers(world: World, group: str) -> list[Answer]:
    """Everything that is answered about a type from its definition to its first list."""
    await world.kube.create(CRDS, definition(group))
    answers: list[Answer] = []
    async with asyncio.timeout(SECONDS):
        while not answers or answers[-1].status != 200:
            answers.append(await send(world, "GET", f"/apis/{group}/v1/things"))
    await world.kube.delete(CRDS, f"things.{group}")
    return answers


async def test_a_new_type_asks_for_patience_first(world: World, namespace: str) -> None:
    """429 to whoever is first: Velero would sleep a second for each of its types, so we list them before it starts.

    The moment is short and somebody else can be first, so types are made until one shows it.
    """
    number = count()
    patience: list[Answer] = []
    async with asyncio.timeout(4 * SECONDS):
        while not patience:
            answers = await first_answers(world, f"{namespace}-{next(number)}.example.com")
            assert {answer.status for answer in answers} <= {200, 404, 429}
            patience = [answer for answer in answers if answer.status == 429]
    assert patience[0].json["message"] == "storage is (re)initializing"
    assert patience[0].headers["Retry-After"] == "1"


async def test_the_client_waits_for_a_new_type(world: World, namespace: str, group: str) -> None:
    """Once established, a type that still asks for patience is to the service one that answers late."""
    await world.kube.create(CRDS, definition(group))
    await established_definition(world, group)
    found = await world.kube.list(Resource(group, "v1", "things", "Thing", True), namespace)
    assert found.items == []


async def test_applied_again_a_definition_stays(world: World, group: str) -> None:
    """Wakes apply all of Velero's types; unchanged ones must not look new."""
    body = definition(group)
    await world.kube.apply(CRDS, body)
    first = await established_definition(world, group)
    second = await world.kube.apply(CRDS, body)
    assert second["metadata"]["generation"] == first["metadata"]["generation"] == 1
    assert established(second)


async def test_a_definition_is_called_after_its_type(world: World, group: str) -> None:
    """422 for another name."""
    body = definition(group)
    body["metadata"]["name"] = f"others.{group}"
    status, reason, message = await refusal(world, "POST", CRDS.path(), body)
    assert (status, reason) == (422, "Invalid")
    assert "metadata.name" in message


async def test_a_definition_needs_a_schema(world: World, group: str) -> None:
    """422 without one: every version says what its objects look like."""
    body = definition(group, {"name": "v1", "served": True, "storage": True})
    status, reason, message = await refusal(world, "POST", CRDS.path(), body)
    assert (status, reason) == (422, "Invalid")
    assert "schema" in message


async def test_unknown_fields_are_dropped(world: World, namespace: str, group: str) -> None:
    """In silence: a Velero too old for filter policies would restore everything, so its schema is looked at before."""
    things = await serve(world, group)
    made = await world.kube.create(things, thing(group, unknown="gone") | {"other": 1}, namespace)
    assert made["spec"] == {"size": 1, "mode": "deep"}
    assert "other" not in made


async def test_preserved_fields_stay(world: World, namespace: str, group: str) -> None:
    """Where the schema says so, everything is kept as it came."""
    things = await serve(world, group)
    made = await world.kube.create(things, thing(group, free={"any": {"thing": [1, {"two": None}]}}), namespace)
    assert made["spec"]["free"]["any"]["thing"][0] == 1


async def test_defaults_of_the_schema(world: World, namespace: str, group: str) -> None:
    """Fields that were not sent are in the answer, and count as present in comparisons."""
    things = await serve(world, group)
    made = await world.kube.create(things, thing(group), namespace)
    assert made["spec"]["mode"] == "deep"


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        ({"size": "big"}, "spec.size"),
        ({"size": 0}, "spec.size"),
        ({"mode": "slow"}, "spec.mode"),
        ({"names": ["a", 1]}, "spec.names[1]"),
        ({"size": None}, "spec.size"),
    ],
)
async def test_an_object_that_breaks_its_schema(
    world: World, namespace: str, group: str, spec: Object, field: str
) -> None:
    """422 naming the field: a Backup with a wrong specification is refused before Velero sees it."""
    things = await serve(world, group)
    status, reason, message = await refusal(world, "POST", things.path(namespace), thing(group, **spec))
    assert (status, reason) == (422, "Invalid")
    assert field in message


async def test_a_list_that_may_be_null(world: World, namespace: str, group: str) -> None:
    """Velero writes null for lists of which it has none."""
    things = await serve(world, group)
    made = await world.kube.create(things, thing(group, names=None), namespace)
    assert made["spec"]["names"] is None


async def test_a_type_without_a_separate_status(world: World, namespace: str, group: str) -> None:
    """A Backup is imported with its status in one request, since its type has no status subresource."""
    things = await serve(world, group)
    made = await world.kube.create(things, thing(group) | {"status": {"phase": "Completed"}}, namespace)
    assert made["status"] == {"phase": "Completed"}
    status = await send(world, "GET", things.path(namespace, "one", "status"))
    assert status.status == 404


async def test_a_separate_status_is_not_taken_with_the_object(world: World, namespace: str, group: str) -> None:
    """Where a type has one, it is dropped from what is created and patched by its own address alone."""
    things = await serve(world, group, version("v1", storage=True, subresources={"status": {}}))
    made = await world.kube.create(things, thing(group) | {"status": {"phase": "Completed"}}, namespace)
    assert "status" not in made
    path = things.path(namespace, "one", "status")
    patched = await send(world, "PATCH", path, {"status": {"phase": "New"}, "spec": {"size": 2}}, MERGE)
    assert patched.json["status"] == {"phase": "New"}
    assert patched.json["spec"]["size"] == 1
    assert patched.json["metadata"]["generation"] == 1


async def test_items_of_custom_types_name_their_kind(world: World, namespace: str, group: str) -> None:
    """In lists, unlike built-in objects."""
    things = await serve(world, group)
    await world.kube.create(things, thing(group), namespace)
    [item] = (await world.kube.list(things, namespace)).items
    assert (item["kind"], item["apiVersion"]) == ("Thing", f"{group}/v1")


async def test_a_custom_object_can_be_applied(world: World, namespace: str, group: str) -> None:
    """As the storage location is; a value that is dropped from the manifest falls back to its default."""
    things = await serve(world, group)
    body = thing(group, mode="quick", names=["a"])
    body["metadata"]["namespace"] = namespace
    await world.kube.apply(things, body)
    del body["spec"]["mode"], body["spec"]["names"]
    after = await world.kube.apply(things, body)
    assert after["spec"] == {"size": 1, "mode": "deep"}


async def test_a_custom_object_has_no_strategic_patch(world: World, namespace: str, group: str) -> None:
    """415: the service patches with merge patches only."""
    things = await serve(world, group)
    await world.kube.create(things, thing(group), namespace)
    path = things.path(namespace, "one")
    strategic = "application/strategic-merge-patch+json"
    assert (await refusal(world, "PATCH", path, {"spec": {"size": 2}}, strategic))[0] == 415


async def test_every_change_of_a_custom_object_counts(world: World, namespace: str, group: str) -> None:
    """Its generation grows with the status too, where the status is not separate."""
    things = await serve(world, group)
    await world.kube.create(things, thing(group), namespace)
    patched = await world.kube.merge_patch(things, "one", {"status": {"phase": "New"}}, namespace)
    assert patched["metadata"]["generation"] == 2
    labelled = await world.kube.merge_patch(things, "one", {"metadata": {"labels": {"a": "b"}}}, namespace)
    assert labelled["metadata"]["generation"] == 2


async def test_versions_of_one_object(world: World, namespace: str, group: str) -> None:
    """The same object under every served version; discovery prefers the stable one, and so does a backup."""
    things = await serve(world, group, version("v1beta1", storage=True), version("v1"))
    await world.kube.create(things, thing(group), namespace)
    other = Resource(group, "v1beta1", "things", "Thing", True)
    assert (await world.kube.get(other, "one", namespace))["apiVersion"] == f"{group}/v1beta1"
    told = await world.kube.transport.request("GET", f"/apis/{group}")
    assert told["preferredVersion"]["version"] == "v1"


async def test_a_version_that_is_not_served(world: World, group: str) -> None:
    """404, as if it were not there."""
    await serve(world, group, version("v1", storage=True), version("v2", served=False))
    assert (await send(world, "GET", f"/apis/{group}/v2/things")).status == 404


async def test_discovery_tells_new_types(world: World, group: str) -> None:
    """With the verbs a backup needs: what discovery does not list, nobody saves."""
    await serve(world, group)
    async with asyncio.timeout(SECONDS):
        while not (found := [one for one in (await world.kube.discover()).resources if one.group == group]):
            await asyncio.sleep(0.1)
    [listed] = found
    assert (listed.plural, listed.kind, listed.namespaced) == ("things", "Thing", True)
    assert {"list", "create", "get", "delete"} <= listed.verbs


async def test_a_new_group_gets_an_api_service(world: World, group: str) -> None:
    """Its age says whether a running Velero can know the type."""
    await serve(world, group)
    found = await world.kube.wait_for(
        API_SERVICES, f"v1.{group}", None, lambda found: found is not None, timeout_seconds=SECONDS
    )
    assert found is not None
    assert found["metadata"]["labels"]["kube-aggregator.kubernetes.io/automanaged"] == "true"


async def test_a_version_from_before_is_expired(world: World, group: str) -> None:
    """410 as the only event of the watch: the server has no memory of that time, so the service lists again."""
    things = await serve(world, group)
    async with watching(world, things.path(), resourceVersion="1", timeoutSeconds="3") as events:
        found = [event["object"] for event in await events.rest()]
    assert [(status["kind"], status["code"], status["reason"]) for status in found] == [("Status", 410, "Expired")]


async def test_a_type_goes_with_its_objects(world: World, namespace: str, group: str) -> None:
    """Deleting a definition deletes everything of the type, then the address is gone."""
    things = await serve(world, group)
    await world.kube.create(things, thing(group), namespace)
    await world.kube.delete(CRDS, f"things.{group}")
    await until_gone(world, CRDS, f"things.{group}")
    assert await world.kube.find(things, "one", namespace) is None


async def test_a_type_waits_for_held_objects(world: World, namespace: str, group: str) -> None:
    """A finalizer of one object keeps the whole type; the condition says so."""
    things = await serve(world, group)
    held = thing(group)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await world.kube.create(things, held, namespace)
    await world.kube.delete(CRDS, f"things.{group}")
    dying = await world.kube.get(CRDS, f"things.{group}")
    assert dying["metadata"]["finalizers"] == ["customresourcecleanup.apiextensions.k8s.io"]
    await world.kube.merge_patch(things, "one", {"metadata": {"finalizers": None}}, namespace)
    await until_gone(world, CRDS, f"things.{group}")


@pytest.mark.newer_kubernetes("the method is not allowed any more (405)")
async def test_nothing_new_of_a_dying_type(world: World, namespace: str, group: str) -> None:
    """403: a restore cannot bring objects of a type that is being deleted."""
    things = await serve(world, group)
    held = thing(group)
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await world.kube.create(things, held, namespace)
    await world.kube.delete(CRDS, f"things.{group}")
    async with asyncio.timeout(SECONDS):
        while (answer := await send(world, "POST", things.path(namespace), thing(group, "late"))).status == 201:
            await world.kube.delete(things, "late", namespace)
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    await world.kube.merge_patch(things, "one", {"metadata": {"finalizers": None}}, namespace)
