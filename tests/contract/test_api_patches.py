"""Patches: what each of the four kinds changes, and what it must not."""

import pytest

from app.kubernetes.errors import KubernetesConflict, KubernetesNotFound
from app.kubernetes.resources import CONFIG_MAPS, DEPLOYMENTS
from tests.contract.api import MERGE, deployment, make, refusal, send
from tests.contract.world import World

JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


async def test_a_merge_patch_changes_what_it_names(world: World, namespace: str) -> None:
    """Scaling a workload leaves everything else of it alone."""
    before = await world.kube.create(DEPLOYMENTS, deployment("one", paused=True), namespace)
    after = await world.kube.merge_patch(DEPLOYMENTS, "one", {"spec": {"replicas": 3}}, namespace)
    assert after["spec"] == before["spec"] | {"replicas": 3}


async def test_a_merge_patch_with_null_takes_away(world: World, namespace: str) -> None:
    """So the note who woke the stack goes when it is put to sleep."""
    await make(world, namespace, "one", annotations={"ours": "1", "theirs": "2"})
    after = await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"annotations": {"ours": None}}}, namespace)
    assert after["metadata"]["annotations"] == {"theirs": "2"}


async def test_a_merge_patch_replaces_lists(world: World, namespace: str) -> None:
    """Taking finalizers away with null leaves none of them."""
    await make(world, namespace, "one", finalizers=["example.com/a", "example.com/b"])
    left = {"metadata": {"finalizers": ["example.com/b"]}}
    assert (await world.kube.merge_patch(CONFIG_MAPS, "one", left, namespace))["metadata"]["finalizers"] == [
        "example.com/b"
    ]
    after = await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)
    assert "finalizers" not in after["metadata"]


async def test_a_merge_patch_of_the_version_it_names(world: World, namespace: str) -> None:
    """With the present resourceVersion it is done, with an old one it is a Conflict: scaling never overwrites."""
    [made] = await make(world, namespace, "one")
    patch = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, "data": {"key": "new"}}
    assert (await world.kube.merge_patch(CONFIG_MAPS, "one", patch, namespace))["data"] == {"key": "new"}
    with pytest.raises(KubernetesConflict):
        await world.kube.merge_patch(CONFIG_MAPS, "one", patch | {"data": {"key": "newer"}}, namespace)


async def test_a_merge_patch_that_changes_nothing(world: World, namespace: str) -> None:
    """Asking again for what is there already is no change, so a repeated step disturbs nobody."""
    [before] = await make(world, namespace, "one")
    after = await world.kube.merge_patch(CONFIG_MAPS, "one", {"data": {"key": "one"}}, namespace)
    assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


async def test_a_merge_patch_of_nothing(world: World, namespace: str) -> None:
    """404: a patch never creates."""
    with pytest.raises(KubernetesNotFound):
        await world.kube.merge_patch(CONFIG_MAPS, "none", {"data": {"key": "new"}}, namespace)


async def test_a_merge_patch_says_who_it_was(world: World, namespace: str) -> None:
    """An administrator finds the service's name at the fields it has changed."""
    await make(world, namespace, "one")
    await send(
        world, "PATCH", CONFIG_MAPS.path(namespace, "one") + "?fieldManager=someone", {"data": {"more": "1"}}, MERGE
    )
    found = await world.kube.get(CONFIG_MAPS, "one", namespace)
    held = {entry["manager"]: entry["fieldsV1"] for entry in found["metadata"]["managedFields"]}
    assert held["someone"]["f:data"] == {"f:more": {}}


async def test_a_patch_cannot_change_identities(world: World, namespace: str) -> None:
    """Neither name nor UID of an object ever change, so both can be remembered."""
    await make(world, namespace, "one")
    path = CONFIG_MAPS.path(namespace, "one")
    assert (await refusal(world, "PATCH", path, {"metadata": {"name": "two"}}, MERGE))[0] == 400
    assert (await refusal(world, "PATCH", path, {"metadata": {"uid": "0f0f"}}, MERGE))[0] == 422


async def test_a_strategic_patch_merges_containers_by_name(world: World, namespace: str) -> None:
    """``kubectl set image`` and Velero's own tools change one container among several."""
    await world.kube.create(DEPLOYMENTS, deployment("one"), namespace)
    side = {"name": "side", "image": "registry.k8s.io/side:1"}
    patch = {"spec": {"template": {"spec": {"containers": [side]}}}}
    answer = await send(world, "PATCH", DEPLOYMENTS.path(namespace, "one"), patch, STRATEGIC)
    assert {one["name"] for one in answer.json["spec"]["template"]["spec"]["containers"]} == {"main", "side"}


async def test_a_json_patch_holds_only_if_its_test_does(world: World, namespace: str) -> None:
    """422 when it does not: nothing of the patch is done."""
    await make(world, namespace, "one")
    path = CONFIG_MAPS.path(namespace, "one")
    change = {"op": "replace", "path": "/data/key", "value": "new"}
    wrong = [{"op": "test", "path": "/data/key", "value": "other"}, change]
    assert (await refusal(world, "PATCH", path, wrong, JSON_PATCH))[:2] == (422, "Invalid")
    right = [{"op": "test", "path": "/data/key", "value": "one"}, change]
    assert (await send(world, "PATCH", path, right, JSON_PATCH)).json["data"] == {"key": "new"}


async def test_a_patch_of_an_unknown_kind(world: World, namespace: str) -> None:
    """415: a client that forgets the type of its patch learns it."""
    await make(world, namespace, "one")
    status, reason, _ = await refusal(world, "PATCH", CONFIG_MAPS.path(namespace, "one"), {"data": {}})
    assert (status, reason) == (415, "UnsupportedMediaType")
