"""Server-side apply, by which the stack is installed, woken and mended."""

from typing import Any

from app.kubernetes.resources import CONFIG_MAPS, DEPLOYMENTS, SECRETS, SERVICES
from tests.contract.api import APPLY, apply_as, config_map, deployment, refusal, send
from tests.contract.world import World


async def test_apply_creates_what_is_not_there(world: World, namespace: str) -> None:
    """201 first, 200 from then on: a wake does not ask before whether anything is installed."""
    body = config_map("one", namespace, key="value")
    answers = [await apply_as(world, "someone", CONFIG_MAPS, body) for _ in range(2)]
    assert [answer.status for answer in answers] == [201, 200]


async def test_apply_of_the_same_changes_nothing(world: World, namespace: str) -> None:
    """Every wake applies everything; pods must not be rolled for it."""
    body = deployment("one", namespace)
    first = await world.kube.apply(DEPLOYMENTS, body)
    second = await world.kube.apply(DEPLOYMENTS, body)
    assert second["metadata"]["generation"] == first["metadata"]["generation"]


async def test_apply_of_the_same_keeps_the_version(world: World, namespace: str) -> None:
    """No watch wakes up for it, and no proof expires."""
    body = config_map("one", namespace, key="value")
    first = await world.kube.apply(CONFIG_MAPS, body)
    second = await world.kube.apply(CONFIG_MAPS, body)
    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_field_that_is_applied_no_more_goes(world: World, namespace: str) -> None:
    """A newer version of the service takes away what its manifests do not say any more."""
    await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, old="1", kept="2"))
    after = await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, kept="2"))
    assert after["data"] == {"kept": "2"}


async def test_fields_of_others_stay(world: World, namespace: str) -> None:
    """What an administrator has added to the stack's objects survives a wake."""
    await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, ours="1"))
    await apply_as(world, "someone", CONFIG_MAPS, config_map("one", namespace, theirs="2"))
    after = await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, ours="3"))
    assert after["data"] == {"ours": "3", "theirs": "2"}


async def test_a_field_of_somebody_else_is_a_conflict(world: World, namespace: str) -> None:
    """409 naming the holder and the field, for who does not insist."""
    await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, key="ours"))
    answer = await apply_as(world, "someone", CONFIG_MAPS, config_map("one", namespace, key="theirs"))
    assert (answer.status, answer.json["reason"]) == (409, "Conflict")
    [cause] = answer.json["details"]["causes"]
    assert cause["field"] == ".data.key"
    assert 'conflict with "kecs-state"' in cause["message"]


async def test_force_takes_a_field_over(world: World, namespace: str) -> None:
    """The service insists, and is the holder from then on."""
    await apply_as(world, "someone", CONFIG_MAPS, config_map("one", namespace, key="theirs"))
    after = await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, key="ours"))
    assert after["data"] == {"key": "ours"}
    assert [entry["manager"] for entry in after["metadata"]["managedFields"]] == ["kecs-state"]


async def test_the_same_value_is_no_conflict(world: World, namespace: str) -> None:
    """Two who say the same hold the field together; it goes only when both have let it go."""
    await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, key="same"))
    assert (await apply_as(world, "someone", CONFIG_MAPS, config_map("one", namespace, key="same"))).status == 200
    after = await world.kube.apply(CONFIG_MAPS, config_map("one", namespace))
    assert after["data"] == {"key": "same"}


async def test_apply_wakes_what_a_patch_put_to_sleep(world: World, namespace: str) -> None:
    """Sleeping is a merge patch of the replicas, waking an apply: each overrides the other."""
    await world.kube.apply(DEPLOYMENTS, deployment("one", namespace, replicas=1, paused=True))
    await world.kube.merge_patch(DEPLOYMENTS, "one", {"spec": {"replicas": 0}}, namespace)
    after = await world.kube.apply(DEPLOYMENTS, deployment("one", namespace, replicas=1, paused=True))
    assert after["spec"]["replicas"] == 1


async def test_defaults_of_the_server_stay(world: World, namespace: str) -> None:
    """Fields that nobody has applied are nobody's to take away."""
    first = await world.kube.apply(DEPLOYMENTS, deployment("one", namespace))
    body = deployment("one", namespace)
    body["metadata"]["labels"] = {"new": "label"}
    second = await world.kube.apply(DEPLOYMENTS, body)
    assert second["spec"] == first["spec"]


async def test_a_service_keeps_its_address(world: World, namespace: str) -> None:
    """Applied again, MinIO is where Velero's host alias says."""
    body = {
        "apiVersion": "v1", "kind": "Service", "metadata": {"name": "one", "namespace": namespace},
        "spec": {"ports": [{"name": "s3", "port": 9000, "protocol": "TCP"}]},
    }  # fmt: skip
    first = await world.kube.apply(SERVICES, body)
    second = await world.kube.apply(SERVICES, body)
    assert second["spec"]["clusterIP"] == first["spec"]["clusterIP"]


async def test_applied_aliases_replace_each_other(world: World, namespace: str) -> None:
    """When MinIO's address changes, Velero's pod has the new alias and not the old one too."""

    def aliased(address: str) -> dict[str, Any]:
        body = deployment("one", namespace)
        body["spec"]["template"]["spec"]["hostAliases"] = [{"ip": address, "hostnames": ["minio.velero.svc"]}]
        return body

    await world.kube.apply(DEPLOYMENTS, aliased("10.0.0.1"))
    after = await world.kube.apply(DEPLOYMENTS, aliased("10.0.0.2"))
    assert [one["ip"] for one in after["spec"]["template"]["spec"]["hostAliases"]] == ["10.0.0.2"]


async def test_applied_containers_merge_by_name(world: World, namespace: str) -> None:
    """A changed argument list replaces the old one; a container that somebody has added stays."""
    body = deployment("one", namespace)
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["old", "older"]
    await world.kube.apply(DEPLOYMENTS, body)
    side = {"name": "side", "image": "registry.k8s.io/side:1"}
    theirs = deployment("one", namespace)
    theirs["spec"]["template"]["spec"]["containers"] = [side]
    await apply_as(world, "someone", DEPLOYMENTS, theirs)
    body["spec"]["template"]["spec"]["containers"][0]["args"] = ["new"]
    after = await world.kube.apply(DEPLOYMENTS, body)
    found = {one["name"]: one.get("args") for one in after["spec"]["template"]["spec"]["containers"]}
    assert found == {"main": ["new"], "side": None}


async def test_a_secret_that_is_applied_anew_has_the_new_keys_only(world: World, namespace: str) -> None:
    """Changed credentials leave nothing of the old ones behind."""

    def secret(**data: str) -> dict[str, Any]:
        metadata = {"name": "one", "namespace": namespace}
        return {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": data}

    await world.kube.apply(SECRETS, secret(old="b2xk", same="b2xk"))
    after = await world.kube.apply(SECRETS, secret(same="bmV3"))
    assert after["data"] == {"same": "bmV3"}


async def test_apply_notes_its_manager(world: World, namespace: str) -> None:
    """Operation Apply under the service's name, with exactly the fields it has sent."""
    made = await world.kube.apply(CONFIG_MAPS, config_map("one", namespace, key="value"))
    [entry] = made["metadata"]["managedFields"]
    assert (entry["manager"], entry["operation"], entry["fieldsType"]) == ("kecs-state", "Apply", "FieldsV1")
    assert entry["fieldsV1"] == {"f:data": {"f:key": {}}}


async def test_an_apply_needs_a_manager(world: World, namespace: str) -> None:
    """Without one the fields would be nobody's."""
    path = CONFIG_MAPS.path(namespace, "one")
    status, _, message = await refusal(world, "PATCH", path, config_map("one", namespace), APPLY)
    assert status in {400, 422}
    assert "fieldManager" in message


async def test_an_apply_cannot_bring_its_own_owners(world: World, namespace: str) -> None:
    """An object read from the cluster cannot be applied as it is: managedFields must go first."""
    body = config_map("one", namespace)
    body["metadata"]["managedFields"] = [{"manager": "x", "operation": "Apply"}]
    answer = await send(world, "PATCH", CONFIG_MAPS.path(namespace, "one") + "?fieldManager=x", body, APPLY)
    assert answer.status == 400


async def test_an_apply_names_the_object_it_is_sent_to(world: World, namespace: str) -> None:
    """400 for another name than the address's."""
    path = CONFIG_MAPS.path(namespace, "other") + "?fieldManager=x"
    assert (await send(world, "PATCH", path, config_map("one", namespace), APPLY)).status == 400
