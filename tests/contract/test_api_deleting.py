"""Deletion: finalizers, owners, grace periods and whole namespaces."""

import asyncio

import pytest

from app.kubernetes.errors import KubernetesForbidden
from app.kubernetes.resources import CONFIG_MAPS, NAMESPACES, PODS, SECRETS
from tests.contract.api import make, make_pod, refusal, send, until_gone
from tests.contract.world import World

HOLD = "example.com/hold"


async def test_what_is_deleted_is_gone(world: World, namespace: str) -> None:
    """At once; deleting it again says that it was not there, which is success for a step that runs twice."""
    await make(world, namespace, "one")
    assert await world.kube.delete(CONFIG_MAPS, "one", namespace) is True
    assert await world.kube.find(CONFIG_MAPS, "one", namespace) is None
    assert await world.kube.delete(CONFIG_MAPS, "one", namespace) is False


async def test_a_deletion_says_what_it_deleted(world: World, namespace: str) -> None:
    """A Status that names the object's UID."""
    [made] = await make(world, namespace, "one")
    told = (await send(world, "DELETE", CONFIG_MAPS.path(namespace, "one"))).json
    assert (told["kind"], told["status"]) == ("Status", "Success")
    assert told["details"] == {"name": "one", "kind": "configmaps", "uid": made["metadata"]["uid"]}


async def test_a_finalizer_holds_an_object(world: World, namespace: str) -> None:
    """It stays, marked, until the finalizer goes: so Velero keeps a Restore until it has cleaned up."""
    await make(world, namespace, "one", finalizers=[HOLD])
    assert await world.kube.delete(CONFIG_MAPS, "one", namespace)
    held = await world.kube.get(CONFIG_MAPS, "one", namespace)
    assert held["metadata"]["deletionTimestamp"]
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)
    assert await world.kube.find(CONFIG_MAPS, "one", namespace) is None


async def test_a_held_object_can_be_deleted_again(world: World, namespace: str) -> None:
    """Without effect: a repeated step finds it as it was."""
    await make(world, namespace, "one", finalizers=[HOLD])
    await world.kube.delete(CONFIG_MAPS, "one", namespace)
    before = await world.kube.get(CONFIG_MAPS, "one", namespace)
    assert await world.kube.delete(CONFIG_MAPS, "one", namespace)
    assert await world.kube.get(CONFIG_MAPS, "one", namespace) == before
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)


async def test_a_dying_object_gets_no_new_finalizer(world: World, namespace: str) -> None:
    """422: nobody can keep what has been deleted already."""
    await make(world, namespace, "one", finalizers=[HOLD])
    await world.kube.delete(CONFIG_MAPS, "one", namespace)
    path, late = CONFIG_MAPS.path(namespace, "one"), {"metadata": {"finalizers": [HOLD, "example.com/late"]}}
    assert (await refusal(world, "PATCH", path, late, "application/merge-patch+json"))[:2] == (422, "Invalid")
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)


@pytest.mark.parametrize("finalizer", ["unqualified", "example.com/with space"])
async def test_a_finalizer_has_a_qualified_name(world: World, namespace: str, finalizer: str) -> None:
    """422 for any other."""
    body = {"metadata": {"name": "one", "finalizers": [finalizer]}}
    assert (await refusal(world, "POST", CONFIG_MAPS.path(namespace), body))[:2] == (422, "Invalid")


async def test_dependents_follow_their_owner(world: World, namespace: str) -> None:
    """In the background: volume backups go with their Backup."""
    [owner] = await make(world, namespace, "owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await make(world, namespace, "dependent", ownerReferences=[reference])
    await world.kube.delete(CONFIG_MAPS, "owner", namespace)
    await until_gone(world, CONFIG_MAPS, "dependent", namespace)


async def test_dependents_of_an_owner_that_never_was_go_too(world: World, namespace: str) -> None:
    """An object restored with the UID of an owner of another cluster is collected: so owners are not restored."""
    reference = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "name": "owner",
        "uid": "00000000-0000-4000-8000-000000000000",
    }
    await make(world, namespace, "dependent", ownerReferences=[reference])
    await until_gone(world, CONFIG_MAPS, "dependent", namespace)


async def test_an_owner_has_to_be_named_in_full(world: World, namespace: str) -> None:
    """422 without kind, version and UID."""
    body = {"metadata": {"name": "one", "ownerReferences": [{"name": "owner"}]}}
    assert (await refusal(world, "POST", CONFIG_MAPS.path(namespace), body))[:2] == (422, "Invalid")


async def test_orphans_stay(world: World, namespace: str) -> None:
    """With propagationPolicy Orphan they only forget their owner."""
    [owner] = await make(world, namespace, "owner")
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    await make(world, namespace, "dependent", ownerReferences=[reference])
    await send(world, "DELETE", CONFIG_MAPS.path(namespace, "owner"), {"propagationPolicy": "Orphan"})
    await until_gone(world, CONFIG_MAPS, "owner", namespace)
    left = await world.kube.get(CONFIG_MAPS, "dependent", namespace)
    assert "ownerReferences" not in left["metadata"]


async def test_a_deletion_of_another_object_is_refused(world: World, namespace: str) -> None:
    """409 when the UID is not the one meant: the object was made anew in between."""
    await make(world, namespace, "one")
    path, other = CONFIG_MAPS.path(namespace, "one"), {"preconditions": {"uid": "0f0f"}}
    assert (await refusal(world, "DELETE", path, other))[:2] == (409, "Conflict")


async def test_many_are_deleted_by_label(world: World, namespace: str) -> None:
    """The others stay."""
    await make(world, namespace, "a", "b", labels={"old": "yes"})
    await make(world, namespace, "c")
    assert (await send(world, "DELETE", CONFIG_MAPS.path(namespace) + "?labelSelector=old%3Dyes")).status == 200
    left = await world.kube.list(CONFIG_MAPS, namespace, field_selector="metadata.name!=kube-root-ca.crt")
    assert [item["metadata"]["name"] for item in left.items] == ["c"]


async def test_a_pod_without_a_node_goes_at_once(world: World, namespace: str) -> None:
    """There is no kubelet that would have to end it."""
    await make_pod(world, namespace, nodeSelector={"no": "node"})
    await world.kube.delete(PODS, "one", namespace)
    assert await world.kube.find(PODS, "one", namespace) is None


async def test_a_pod_on_a_node_gets_its_grace(world: World, namespace: str) -> None:
    """It stays, marked with its end, until the node lets it go; with grace 0 it is gone at once, as kecs-server is."""
    await make_pod(world, namespace, nodeName="no-such-node", terminationGracePeriodSeconds=20)
    await world.kube.delete(PODS, "one", namespace)
    dying = await world.kube.get(PODS, "one", namespace)
    assert dying["metadata"]["deletionGracePeriodSeconds"] == 20
    await world.kube.delete(PODS, "one", namespace, grace_seconds=0)
    assert await world.kube.find(PODS, "one", namespace) is None


async def test_a_namespace_takes_everything_with_it(world: World, namespace: str) -> None:
    """Objects of every type first, then itself; recreating it before that is refused."""
    await make(world, namespace, "one")
    await world.kube.create(SECRETS, {"metadata": {"name": "two"}}, namespace)
    await world.kube.delete(NAMESPACES, namespace)
    await until_gone(world, NAMESPACES, namespace)
    assert (await world.kube.list(CONFIG_MAPS, namespace)).items == []


async def test_a_dying_namespace_says_so(world: World, namespace: str) -> None:
    """Phase Terminating and a time of deletion: such a namespace is waited for, then left out."""
    await make(world, namespace, "one", finalizers=[HOLD])
    await world.kube.delete(NAMESPACES, namespace)
    found = await world.kube.get(NAMESPACES, namespace)
    assert found["status"]["phase"] == "Terminating"
    assert found["metadata"]["deletionTimestamp"]
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)
    await until_gone(world, NAMESPACES, namespace)


async def test_a_dying_namespace_takes_nothing_new(world: World, namespace: str) -> None:
    """403 with a cause that says why: a restore into it would lose objects."""
    await make(world, namespace, "one", finalizers=[HOLD])
    await world.kube.delete(NAMESPACES, namespace)
    answer = await send(world, "POST", CONFIG_MAPS.path(namespace), {"metadata": {"name": "late"}})
    assert (answer.status, answer.json["reason"]) == (403, "Forbidden")
    assert [cause["reason"] for cause in answer.json["details"]["causes"]] == ["NamespaceTerminating"]
    with pytest.raises(KubernetesForbidden):
        await make(world, namespace, "late")
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)


async def test_a_held_object_holds_its_namespace(world: World, namespace: str) -> None:
    """Until the last finalizer goes, the namespace stays."""
    await make(world, namespace, "one", finalizers=[HOLD])
    await make(world, namespace, "two")
    await world.kube.delete(NAMESPACES, namespace)
    await until_gone(world, CONFIG_MAPS, "two", namespace)
    await asyncio.sleep(0.3)
    assert await world.kube.find(NAMESPACES, namespace) is not None
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)
    await until_gone(world, NAMESPACES, namespace)


async def test_a_dying_namespace_says_what_holds_it(world: World, namespace: str) -> None:
    """In its conditions, which a person reads who wonders why a stop waits."""
    await make(world, namespace, "one", finalizers=[HOLD])
    await world.kube.delete(NAMESPACES, namespace)
    async with asyncio.timeout(15):
        while "NamespaceFinalizersRemaining" not in {
            one["type"]
            for one in (await world.kube.get(NAMESPACES, namespace))["status"].get("conditions", [])
            if one["status"] == "True"
        }:
            await asyncio.sleep(0.1)
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)


async def test_a_namespace_cannot_be_made_while_it_dies(world: World, namespace: str) -> None:
    """409 AlreadyExists: a restore has to wait until the old one is gone. Deleting it again does no harm."""
    await make(world, namespace, "one", finalizers=[HOLD])
    await world.kube.delete(NAMESPACES, namespace)
    assert await world.kube.delete(NAMESPACES, namespace) is True
    assert (await refusal(world, "POST", NAMESPACES.path(), {"metadata": {"name": namespace}}))[1] == "AlreadyExists"
    await world.kube.merge_patch(CONFIG_MAPS, "one", {"metadata": {"finalizers": None}}, namespace)


@pytest.mark.parametrize("name", ["default", "kube-system"])
async def test_the_cluster_s_own_namespaces_stay(world: World, name: str) -> None:
    """403: the cluster's identity cannot be deleted away."""
    with pytest.raises(KubernetesForbidden):
        await world.kube.delete(NAMESPACES, name)
