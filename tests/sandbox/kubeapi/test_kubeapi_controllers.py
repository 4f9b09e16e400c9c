"""What the server does on its own, after a request or without one."""

from typing import Any

from tests.sandbox.kubeapi.conftest import Client


def owned_by(owner: dict[str, Any], **content: Any) -> dict[str, Any]:
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["metadata"]["name"], **content}
    return {"ownerReferences": [{"uid": owner["metadata"]["uid"], **reference}]}


async def test_a_foreground_deletion_ends_with_the_owner(client: Client) -> None:
    """It waits for the dependents that block it."""
    owner = await client.create(client.path("configmaps"), "owner")
    metadata = {**owned_by(owner, blockOwnerDeletion=True), "finalizers": ["test.example/hold"]}
    await client.create(client.path("configmaps"), "dependent", metadata=metadata)
    await client.ok("DELETE", client.path("configmaps", "owner"), propagationPolicy="Foreground")
    await client.until(
        client.path("configmaps", "dependent"), lambda _, it: bool(it["metadata"].get("deletionTimestamp"))
    )
    assert await client.status("GET", client.path("configmaps", "owner")) == 200
    await client.patch(client.path("configmaps", "dependent"), {"metadata": {"finalizers": None}})
    await client.until_gone(client.path("configmaps", "owner"))


async def test_an_owner_in_deletion_keeps_its_dependents(client: Client) -> None:
    """In the background they go only after it."""
    owner = await client.create(client.path("configmaps"), "owner", metadata={"finalizers": ["test.example/hold"]})
    for name in ("one", "two"):
        await client.create(client.path("configmaps"), name, metadata=owned_by(owner))
    await client.ok("DELETE", client.path("configmaps", "owner"))
    await client.ok("DELETE", client.path("configmaps", "one"))
    assert not (await client.get(client.path("configmaps", "two")))["metadata"].get("deletionTimestamp")
    await client.patch(client.path("configmaps", "owner"), {"metadata": {"finalizers": None}})
    await client.until_gone(client.path("configmaps", "two"))


async def test_a_dependent_of_nobody_goes(client: Client) -> None:
    """Its owner's uid is not there, whatever its name says: what a naive restore of ownerReferences leads to."""
    absent = {"metadata": {"name": "gone", "uid": "0"}}
    await client.create(client.path("configmaps"), "a", metadata=owned_by(absent))
    await client.until_gone(client.path("configmaps", "a"))


async def test_one_living_owner_is_enough(client: Client) -> None:
    """The other reference may lead nowhere."""
    owner = await client.create(client.path("configmaps"), "owner")
    absent = {"metadata": {"name": "gone", "uid": "0"}}
    references = owned_by(owner)["ownerReferences"] + owned_by(absent)["ownerReferences"]
    await client.create(client.path("configmaps"), "kept", metadata={"ownerReferences": references})
    await client.create(client.path("configmaps"), "lost", metadata=owned_by(absent))
    await client.until_gone(client.path("configmaps", "lost"))
    assert await client.status("GET", client.path("configmaps", "kept")) == 200


async def test_the_furniture_of_a_namespace_comes_back(client: Client) -> None:
    """The default ServiceAccount is made again when somebody deletes it."""
    path = client.path("serviceaccounts", "default")
    before = await client.until(path, lambda status, _: status == 200)
    await client.ok("DELETE", path)
    after = await client.until(path, lambda status, _: status == 200)
    assert after["metadata"]["uid"] != before["metadata"]["uid"]


async def test_the_finalizer_of_a_namespace_stays(client: Client) -> None:
    """Only its own subresource could take it away."""
    path = f"/api/v1/namespaces/{client.namespace}"
    patched = await client.patch(path, {"spec": {"finalizers": []}, "metadata": {"labels": {"a": "b"}}})
    assert patched["spec"]["finalizers"] == ["kubernetes"]
    assert patched["metadata"]["labels"]["a"] == "b"


async def test_the_api_server_has_endpoints(client: Client) -> None:
    """Of the Service ``kubernetes``, in both forms."""
    endpoints = await client.get("/api/v1/namespaces/default/endpoints/kubernetes")
    slices = await client.get(
        "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices",
        labelSelector="kubernetes.io/service-name=kubernetes",
    )
    assert endpoints["subsets"][0]["addresses"]
    assert slices["items"][0]["endpoints"]
