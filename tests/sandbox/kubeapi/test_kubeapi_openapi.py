"""Schemas of what is served, strict validation by them, and questions about one's own rights."""

from typing import Any

import pytest

from tests.sandbox.kubeapi.conftest import Client, definition, workload_spec

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


async def document(client: Client, path: str) -> Any:
    return await client.get(f"/openapi/v3/{path}")


def schema_of(found: Any, kind: str) -> Any:
    """By the identity it names."""
    schemas = found["components"]["schemas"].values()
    return next(
        one for one in schemas if any(g["kind"] == kind for g in one.get("x-kubernetes-group-version-kind", ()))
    )


async def test_every_group_version_of_the_index_has_a_document(client: Client) -> None:
    """Under the address that the index names."""
    index = (await client.get("/openapi/v3"))["paths"]
    assert {"api/v1", "apis/apps/v1"} <= set(index)
    for place in index.values():
        assert (await client.get(place["serverRelativeURL"]))["openapi"] == "3.0.0"


async def test_every_reference_leads_somewhere(client: Client) -> None:
    """Within its own document."""
    found = await document(client, "apis/apps/v1")
    references = {word for word in str(found).split("'") if word.startswith("#/components/schemas/")}
    assert {one.rpartition("/")[2] for one in references} <= set(found["components"]["schemas"])


async def test_lists_say_by_which_key_they_are_merged(client: Client) -> None:
    """kubectl computes its patches by that."""
    schemas = (await document(client, "api/v1"))["components"]["schemas"]
    ports = schemas["io.k8s.v1.Container"]["properties"]["ports"]
    assert ports["x-kubernetes-patch-merge-key"] == "containerPort"
    assert schemas["io.k8s.v1.ServiceSpec"]["properties"]["ports"]["x-kubernetes-patch-merge-key"] == "port"
    assert "x-kubernetes-patch-merge-key" not in schemas["io.k8s.v1.Container"]["properties"]["args"]


async def test_a_definition_has_a_document_while_it_is_there(client: Client) -> None:
    """With its own schema, and the fields every object has."""
    body = definition("knobs", "openapi.example", "Knob")
    body["spec"]["versions"][0]["schema"]["openAPIV3Schema"] = {
        "type": "object",
        "properties": {"spec": {"type": "object", "properties": {"turns": {"type": "integer"}}}},
    }
    await client.ok("POST", CRDS, body)
    found = schema_of(await document(client, "apis/openapi.example/v1"), "Knob")
    assert set(found["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
    await client.ok("DELETE", f"{CRDS}/knobs.openapi.example")
    await client.until("/openapi/v3/apis/openapi.example/v1", lambda status, _: status == 404)


@pytest.mark.parametrize("schema", [{"allOf": 3, "properties": 4}, {"allOf": [5, {"$ref": 6}]}, "text"])
async def test_a_strange_schema_breaks_nothing(client: Client, schema: Any) -> None:
    """Neither its document nor a strict create."""
    group = f"strange-{client.namespace}.example"
    body = definition("odds", group, "Odd")
    body["spec"]["versions"][0] |= {"schema": {"openAPIV3Schema": schema}, "additionalPrinterColumns": [3]}
    if await client.status("POST", CRDS, body) == 201:
        await document(client, f"apis/{group}/v1")
        path = client.path("odds", api=f"/apis/{group}/v1")
        status = await client.status("POST", path, {"metadata": {"name": "one"}}, fieldValidation="Strict")
        assert status < 500


async def test_strict_validation_names_every_unknown_field(client: Client) -> None:
    """Deep ones with their place."""
    body = {"metadata": {"name": "one"}, "spec": workload_spec(replicaz=1)}
    body["spec"]["template"]["spec"]["containers"][0]["imagee"] = "x"
    path = client.path("deployments", api="/apis/apps/v1")
    status, answer = await client.request("POST", path, body, fieldValidation="Strict")
    assert status == 400
    assert 'unknown field "spec.replicaz"' in answer["message"]
    assert 'unknown field "spec.template.spec.containers[0].imagee"' in answer["message"]


async def test_without_strict_validation_unknown_fields_pass(client: Client) -> None:
    """Restores send what other versions had."""
    body = {"metadata": {"name": "one"}, "dataa": {}}
    assert await client.status("POST", client.path("configmaps"), body) == 201


async def test_a_review_is_answered_and_not_stored(client: Client) -> None:
    """Whoever has the token may do everything."""
    path = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
    question = {"spec": {"resourceAttributes": {"verb": "delete", "resource": "pods"}}}
    assert (await client.ok("POST", path, question))["status"]["allowed"] is True
    assert await client.status("GET", path) == 405


async def test_a_resource_version_of_zero_is_none(client: Client) -> None:
    """The Velero CLI sends it in a new object."""
    body = {"metadata": {"name": "one", "resourceVersion": "0"}}
    assert await client.status("POST", client.path("configmaps"), body) == 201
