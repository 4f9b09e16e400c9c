"""Subresources: status, scale, logs."""

import pytest

from app.kubernetes.resources import CONFIG_MAPS, DEPLOYMENTS, PODS
from tests.contract.api import MERGE, deployment, make, make_pod, refusal, send
from tests.contract.world import World


async def test_a_status_has_its_own_address(world: World, namespace: str) -> None:
    """Controllers write it there: neither the specification nor the generation is touched."""
    await world.kube.create(DEPLOYMENTS, deployment("one", paused=True), namespace)
    patch = {"status": {"conditions": [{"type": "Test", "status": "True"}]}, "spec": {"paused": False}}
    answer = await send(world, "PATCH", DEPLOYMENTS.path(namespace, "one", "status"), patch, MERGE)
    assert answer.json["status"]["conditions"][0]["type"] == "Test"
    assert answer.json["spec"]["paused"] is True
    assert answer.json["metadata"]["generation"] == 1


async def test_a_deployments_annotations_are_written_with_its_status(world: World, namespace: str) -> None:
    """As its controller does with the revision; labels are not, and the generation stays."""
    await world.kube.create(DEPLOYMENTS, deployment("one", paused=True), namespace)
    patch = {"metadata": {"annotations": {"seen": "yes"}, "labels": {"seen": "yes"}}}
    answer = await send(world, "PATCH", DEPLOYMENTS.path(namespace, "one", "status"), patch, MERGE)
    metadata = answer.json["metadata"]
    assert (metadata["annotations"]["seen"], metadata["generation"]) == ("yes", 1)
    assert "seen" not in metadata.get("labels", {})


async def test_a_status_is_not_written_with_the_object(world: World, namespace: str) -> None:
    """A patch of a Deployment leaves its status alone."""
    await world.kube.create(DEPLOYMENTS, deployment("one", paused=True), namespace)
    patch = {"status": {"readyReplicas": 7, "replicas": 7}}
    after = await world.kube.merge_patch(DEPLOYMENTS, "one", patch, namespace)
    assert after.get("status", {}).get("readyReplicas") is None


async def test_a_scale_is_read(world: World, namespace: str) -> None:
    """One number whatever the type, with the pods' selector as text."""
    await world.kube.create(DEPLOYMENTS, deployment("one", replicas=2, paused=True), namespace)
    told = (await send(world, "GET", DEPLOYMENTS.path(namespace, "one", "scale"))).json
    assert (told["kind"], told["apiVersion"], told["spec"]) == ("Scale", "autoscaling/v1", {"replicas": 2})
    assert told["status"]["selector"] == "app=one"


async def test_a_scale_is_set(world: World, namespace: str) -> None:
    """As ``kubectl scale`` does: the object itself then says the same."""
    await world.kube.create(DEPLOYMENTS, deployment("one", paused=True), namespace)
    path = DEPLOYMENTS.path(namespace, "one", "scale")
    assert (await send(world, "PATCH", path, {"spec": {"replicas": 3}}, MERGE)).json["spec"] == {"replicas": 3}
    assert (await world.kube.get(DEPLOYMENTS, "one", namespace))["spec"]["replicas"] == 3


async def test_a_scale_of_an_old_version_is_refused(world: World, namespace: str) -> None:
    """409: two who scale at once do not overwrite each other."""
    await world.kube.create(DEPLOYMENTS, deployment("one", paused=True), namespace)
    path = DEPLOYMENTS.path(namespace, "one", "scale")
    read = (await send(world, "GET", path)).json
    await send(world, "PATCH", path, {"spec": {"replicas": 3}}, MERGE)
    assert (await refusal(world, "PUT", path, read | {"spec": {"replicas": 1}}))[:2] == (409, "Conflict")


async def test_a_negative_scale_is_refused(world: World, namespace: str) -> None:
    """422, and nothing changes."""
    await world.kube.create(DEPLOYMENTS, deployment("one", paused=True), namespace)
    path = DEPLOYMENTS.path(namespace, "one", "scale")
    assert (await refusal(world, "PATCH", path, {"spec": {"replicas": -1}}, MERGE))[:2] == (422, "Invalid")


async def test_a_subresource_that_is_not_there(world: World, namespace: str) -> None:
    """404: a ConfigMap has no status."""
    await make(world, namespace, "one")
    assert (await refusal(world, "GET", CONFIG_MAPS.path(namespace, "one", "status")))[:2] == (404, "NotFound")


async def test_no_log_before_a_node(world: World, namespace: str) -> None:
    """An answer without content: the troubles of a stack that does not come up are read then, too."""
    await make_pod(world, namespace, nodeSelector={"no": "node"})
    answer = await send(world, "GET", PODS.path(namespace, "one", "log") + "?container=main")
    assert (answer.status, answer.text) == (204, "")


@pytest.mark.parametrize("container", ["other", "main,other"])
async def test_no_log_of_an_unknown_container(world: World, namespace: str, container: str) -> None:
    """400 naming it."""
    await make_pod(world, namespace, nodeSelector={"no": "node"})
    path = PODS.path(namespace, "one", "log") + f"?container={container}"
    status, reason, message = await refusal(world, "GET", path)
    assert (status, reason) == (400, "BadRequest")
    assert container in message
