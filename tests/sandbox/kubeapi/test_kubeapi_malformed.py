"""What nobody should send: an answer that says so, never a 500."""

import copy
from collections.abc import Iterator
from typing import Any

import pytest

from tests.sandbox.kubeapi.conftest import Client, definition, pod_spec, workload_spec

DEPLOYMENTS = "/apis/apps/v1"
WRONG_VALUES: tuple[Any, ...] = ("text", 3, True, [], {}, [3], [None], {"a": 3})


@pytest.mark.parametrize(
    ("plural", "body"),
    [
        ("pods", {"spec": pod_spec(terminationGracePeriodSeconds="soon")}),
        ("pods", {"spec": {"containers": [{"name": "main", "image": {"reference": "x"}}]}}),
        ("pods", {"spec": pod_spec(volumes=["text"])}),
        ("services", {"spec": {"type": [], "ports": [{"port": 80}]}}),
        ("services", {"spec": {"ports": [{"port": 80, "nodePort": "any"}]}}),
        ("configmaps", {"metadata": {"managedFields": "mine"}}),
        ("configmaps", {"metadata": {"ownerReferences": ["mine"]}}),
        ("configmaps", {"metadata": {"labels": {"count": 1}}}),
    ],
)
async def test_fields_of_another_type_are_bad_requests(client: Client, plural: str, body: dict[str, Any]) -> None:
    """As the real server's decoder refuses them."""
    body["metadata"] = {"name": "a", **body.get("metadata", {})}
    status, answer = await client.request("POST", client.path(plural), body)
    assert (status, answer["reason"]) == (400, "BadRequest"), answer


async def test_free_maps_may_have_any_key(client: Client) -> None:
    """A label is not mistaken for the field whose name it has."""
    labels = {"ports": "many", "replicas": "few"}
    spec = {"selector": labels, "ports": [{"port": 80}]}
    created = await client.create(client.path("services"), "a", metadata={"labels": labels}, spec=spec)
    assert created["spec"]["selector"] == labels


async def test_names_of_fields_mean_something_else_in_other_kinds(client: Client) -> None:
    """``strategy`` of a conversion is a word, ``group`` of a subject an object."""
    group = f"{client.namespace}.example"
    custom = definition("widgets", group, "Widget")
    custom["spec"]["conversion"] = {"strategy": "None"}
    subject = {"kind": "Group", "group": {"name": "system:masters"}}
    schema = {"matchingPrecedence": 9, "rules": [{"subjects": [subject]}]}
    await client.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", custom)
    await client.create("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas", client.namespace, spec=schema)


@pytest.mark.parametrize(
    "options",
    [{"dryRun": "Some"}, {"dryRun": [{}]}, {"gracePeriodSeconds": []}, {"preconditions": {"uid": ["x"]}}],
)
async def test_unreadable_delete_options_delete_nothing(client: Client, options: dict[str, Any]) -> None:
    """The object stays."""
    await client.create(client.path("configmaps"), "a")
    assert await client.status("DELETE", client.path("configmaps", "a"), options) in {400, 409, 422}
    assert await client.status("GET", client.path("configmaps", "a")) == 200


@pytest.mark.parametrize(
    "query",
    [
        {"watch": "true", "resourceVersion": "latest"},
        {"watch": "true", "timeoutSeconds": "-1"},
        {"limit": "many"},
        {"continue": "???"},
        {"labelSelector": "a=b=c"},
        {"fieldSelector": "spec.unknown=1"},
    ],
)
async def test_unreadable_queries_are_bad_requests(client: Client, query: dict[str, str]) -> None:
    """Also those of a watch, before it begins."""
    assert await client.status("GET", client.path("configmaps"), **query) == 400


async def test_no_wrong_value_anywhere_is_an_internal_error(client: Client) -> None:
    """Every field of a Deployment in turn, created, patched, applied and put."""
    path = client.path("deployments", api=DEPLOYMENTS)
    base = {"metadata": {"name": "a", "labels": {"app": "web"}}, "spec": workload_spec(replicas=0)}
    await client.ok("POST", path, base)
    for place in _places(base):
        for value in WRONG_VALUES:
            body = _replaced(base, place, value)
            for method, media in (
                ("PUT", "json"),
                ("PATCH", "merge-patch+json"),
                ("PATCH", "strategic-merge-patch+json"),
            ):
                status, answer = await client.request(method, f"{path}/a", body, media=f"application/{media}")
                assert status < 500, (method, place, value, answer)
            status, answer = await client.apply(f"{path}/a", body, "tester", force="true")
            assert status < 500, ("apply", place, value, answer)


def _places(value: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if above:
        yield above
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from _places(child, (*above, key))


def _replaced(base: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    body = copy.deepcopy(base)
    holder: Any = body
    for step in place[:-1]:
        holder = holder[step]
    holder[place[-1]] = value
    return body
