"""Deletion: at once, held back, by owner, by namespace."""

from tests.sandbox.kubeapi.conftest import Client, pod_spec


async def test_finalizers_hold_an_object_back(client: Client) -> None:
    """It stays with a deletionTimestamp until the last finalizer is taken away."""
    path = client.path("configmaps", "a")
    await client.create(client.path("configmaps"), "a", metadata={"finalizers": ["test.example/hold"]})
    held = await client.ok("DELETE", path)
    assert held["metadata"]["deletionTimestamp"]
    await client.patch(path, {"metadata": {"finalizers": None}})
    assert await client.status("GET", path) == 404


async def test_a_pod_on_a_node_gets_its_grace_period(client: Client) -> None:
    """Only the second request, without grace, removes it."""
    path = client.path("pods", "a")
    await client.create(client.path("pods"), "a", spec=pod_spec(nodeName="node"))
    terminating = await client.ok("DELETE", path)
    assert terminating["metadata"]["deletionGracePeriodSeconds"] == 30
    await client.ok("DELETE", path, gracePeriodSeconds="0")
    assert await client.status("GET", path) == 404


async def test_a_pod_without_a_node_goes_at_once(client: Client) -> None:
    """Nobody has to stop it."""
    await client.create(client.path("pods"), "a", spec=pod_spec())
    await client.ok("DELETE", client.path("pods", "a"))
    assert await client.status("GET", client.path("pods", "a")) == 404


async def test_another_uid_is_not_deleted(client: Client) -> None:
    """The precondition protects a successor of the same name."""
    await client.create(client.path("configmaps"), "a")
    body = {"preconditions": {"uid": "somebody-else"}}
    assert await client.status("DELETE", client.path("configmaps", "a"), body) == 409


async def test_dependents_follow_their_owner(client: Client) -> None:
    """Through every generation."""
    reference = {"apiVersion": "v1", "kind": "ConfigMap"}
    owner = await client.create(client.path("configmaps"), "a")
    for name, above in (("b", "a"), ("c", "b")):
        references = [{**reference, "name": above, "uid": owner["metadata"]["uid"]}]
        owner = await client.create(client.path("configmaps"), name, metadata={"ownerReferences": references})
    await client.ok("DELETE", client.path("configmaps", "a"))
    await client.until_gone(client.path("configmaps", "c"))


async def test_orphans_stay(client: Client) -> None:
    """With propagationPolicy Orphan dependents only forget their owner."""
    owner = await client.create(client.path("configmaps"), "a")
    references = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "a", "uid": owner["metadata"]["uid"]}]
    await client.create(client.path("configmaps"), "b", metadata={"ownerReferences": references})
    await client.ok("DELETE", client.path("configmaps", "a"), propagationPolicy="Orphan")
    assert "ownerReferences" not in (await client.get(client.path("configmaps", "b")))["metadata"]


async def test_collections_are_deleted_by_selector(client: Client) -> None:
    """Others stay."""
    for name in ("a", "b"):
        await client.create(client.path("configmaps"), name, metadata={"labels": {"name": name}})
    await client.ok("DELETE", client.path("configmaps"), labelSelector="name=a")
    assert await client.status("GET", client.path("configmaps", "a")) == 404
    assert await client.status("GET", client.path("configmaps", "b")) == 200


async def test_a_namespace_goes_with_its_contents(client: Client) -> None:
    """It takes nothing new in meanwhile and waits for finalizers."""
    namespace = f"/api/v1/namespaces/{client.namespace}"
    await client.create(client.path("configmaps"), "a", metadata={"finalizers": ["test.example/hold"]})
    await client.create(client.path("secrets"), "b")
    await client.ok("DELETE", namespace)
    await client.until_gone(client.path("secrets", "b"))
    status, answer = await client.request("POST", client.path("secrets"), {"metadata": {"name": "c"}})
    assert (status, answer["details"]["causes"][0]["reason"]) == (403, "NamespaceTerminating")
    assert (await client.get(namespace))["status"]["phase"] == "Terminating"
    await client.patch(client.path("configmaps", "a"), {"metadata": {"finalizers": None}})
    await client.until_gone(namespace)


async def test_the_system_namespaces_stay(client: Client) -> None:
    """Nobody may delete them."""
    assert await client.status("DELETE", "/api/v1/namespaces/kube-system") == 403
