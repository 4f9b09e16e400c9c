"""What workloads, Services and claims must be, and what of them can never be changed by an update."""

from typing import Any

import pytest

from app.kubernetes.resources import (
    DEPLOYMENTS,
    PERSISTENT_VOLUME_CLAIMS,
    PODS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from tests.contract.api import MERGE, Object, deployment, make_pod, refusal
from tests.contract.world import World

JOBS = Resource("batch", "v1", "jobs", "Job", True)
CRON_JOBS = Resource("batch", "v1", "cronjobs", "CronJob", True)
TEMPLATE = deployment("one")["spec"]["template"]
CLAIM = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}, "storageClassName": "none"}


def with_container(**fields: Any) -> Object:
    """A pod template with one container that is not right."""
    return {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "pause"} | fields]}}}}


async def changed(world: World, resource: Resource, namespace: str, patch: Object) -> tuple[int, str]:
    """How changing the object named ``one`` is refused."""
    return (await refusal(world, "PATCH", resource.path(namespace, "one"), patch, MERGE))[:2]


@pytest.mark.parametrize(
    "patch",
    [{"spec": {"replicas": -1}}, with_container(name="Main"), with_container(image="")],
    ids=["fewer than none", "a container's name", "no image"],
)
async def test_a_workload_that_could_not_run(world: World, namespace: str, patch: Object) -> None:
    """422: such a Deployment cannot be in a backup."""
    await world.kube.create(DEPLOYMENTS, deployment("one"), namespace)
    assert await changed(world, DEPLOYMENTS, namespace, patch) == (422, "Invalid")


@pytest.mark.parametrize("field", [{"serviceName": "other"}, {"podManagementPolicy": "Parallel"}])
async def test_a_stateful_set_is_mostly_fixed(world: World, namespace: str, field: Object) -> None:
    """422 for all but a few fields: MinIO's manifest may only ever change in its replicas and its template."""
    body = deployment("one", serviceName="one") | {"kind": "StatefulSet"}
    await world.kube.create(STATEFUL_SETS, body, namespace)
    await world.kube.merge_patch(STATEFUL_SETS, "one", with_container(image="other"), namespace)
    assert await changed(world, STATEFUL_SETS, namespace, {"spec": field}) == (422, "Invalid")


@pytest.mark.parametrize("field", [{"restartPolicy": "Never"}, {"nodeSelector": {"other": "node"}}])
async def test_a_pod_is_fixed(world: World, namespace: str, field: Object) -> None:
    """422 for all but its images: a restore cannot update pods, so they are not among what it updates."""
    await make_pod(world, namespace, nodeSelector={"no": "node"})
    assert await changed(world, PODS, namespace, {"spec": field}) == (422, "Invalid")


async def test_the_image_of_a_pod_can_change(world: World, namespace: str) -> None:
    """Alone: the rest of the container has to be as it was."""
    made = await make_pod(world, namespace, nodeSelector={"no": "node"})
    [container] = made["spec"]["containers"]
    patch = {"spec": {"containers": [container | {"image": "other"}]}}
    after = await world.kube.merge_patch(PODS, "one", patch, namespace)
    assert after["spec"]["containers"][0]["image"] == "other"
    patch["spec"]["containers"][0]["args"] = ["new"]
    assert await changed(world, PODS, namespace, patch) == (422, "Invalid")


async def test_ports_of_a_service_have_names(world: World, namespace: str) -> None:
    """If there are several."""
    body = {"metadata": {"name": "one"}, "spec": {"ports": [{"port": 80}, {"port": 81}]}}
    assert (await refusal(world, "POST", SERVICES.path(namespace), body))[:2] == (422, "Invalid")


async def test_a_service_is_called_by_a_letter_first(world: World, namespace: str) -> None:
    """Its name is one of DNS, in the older and stricter form."""
    body = {"metadata": {"name": "1st"}, "spec": {"ports": [{"port": 80}]}}
    assert (await refusal(world, "POST", SERVICES.path(namespace), body))[:2] == (422, "Invalid")


async def test_an_address_of_a_service_stays(world: World, namespace: str) -> None:
    """422: addresses are allocated, so a restore leaves them out and comparisons ignore them."""
    body = {"metadata": {"name": "one"}, "spec": {"ports": [{"port": 80}]}}
    made = await world.kube.create(SERVICES, body, namespace)
    network, _, host = made["spec"]["clusterIP"].rpartition(".")
    beside = f"{network}.{int(host) % 200 + 1}"  # another one, whichever was allocated
    assert await changed(world, SERVICES, namespace, {"spec": {"clusterIP": beside}}) == (422, "Invalid")


async def test_a_job_does_not_always_restart(world: World, namespace: str) -> None:
    """422 for a restart policy of Always, which is what a template without one gets."""
    body = {"metadata": {"name": "one"}, "spec": {"suspend": True, "template": TEMPLATE}}
    assert (await refusal(world, "POST", JOBS.path(namespace), body))[:2] == (422, "Invalid")


async def test_a_schedule_has_five_fields(world: World, namespace: str) -> None:
    """422 for any other."""
    template = {"spec": {"template": {"spec": TEMPLATE["spec"] | {"restartPolicy": "Never"}}}}
    body = {"metadata": {"name": "one"}, "spec": {"schedule": "now and then", "jobTemplate": template}}
    assert (await refusal(world, "POST", CRON_JOBS.path(namespace), body))[:2] == (422, "Invalid")


@pytest.mark.parametrize("missing", ["accessModes", "resources"])
async def test_a_claim_says_what_it_claims(world: World, namespace: str, missing: str) -> None:
    """422 without modes or a size."""
    body = {"metadata": {"name": "one"}, "spec": {field: CLAIM[field] for field in CLAIM if field != missing}}
    assert (await refusal(world, "POST", PERSISTENT_VOLUME_CLAIMS.path(namespace), body))[:2] == (422, "Invalid")


async def test_a_claim_is_fixed(world: World, namespace: str) -> None:
    """422: a restored claim that exists already stays as it is."""
    await world.kube.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "one"}, "spec": CLAIM}, namespace)
    patch = {"spec": {"accessModes": ["ReadOnlyMany"]}}
    assert await changed(world, PERSISTENT_VOLUME_CLAIMS, namespace, patch) == (422, "Invalid")
