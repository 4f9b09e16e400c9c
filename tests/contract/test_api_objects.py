"""Objects of the API server: what creating, reading and changing one does."""

import pytest

from app.kubernetes.errors import KubernetesAlreadyExists
from app.kubernetes.resources import CONFIG_MAPS
from tests.contract.world import World


async def test_a_created_object_has_an_identity(world: World, namespace: str) -> None:
    """By its UID the service knows an object made anew under an old name."""
    made = await world.kube.create(CONFIG_MAPS, {"metadata": {"name": "one"}}, namespace)
    assert made["metadata"]["uid"]
    assert made["metadata"]["resourceVersion"].isdecimal()
    assert made["metadata"]["creationTimestamp"].endswith("Z")


async def test_a_second_object_of_the_name_is_refused(world: World, namespace: str) -> None:
    """409 with reason AlreadyExists."""
    await world.kube.create(CONFIG_MAPS, {"metadata": {"name": "one"}}, namespace)
    with pytest.raises(KubernetesAlreadyExists):
        await world.kube.create(CONFIG_MAPS, {"metadata": {"name": "one"}}, namespace)
