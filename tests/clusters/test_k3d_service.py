"""The service on the driver ``k3d``: what its users see of clusters, and of a machine where none can be seen."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clusters.k3d_machine import SERVER, K3dMachine
from tests.service import CONFIGURED, RunningService


@pytest.fixture
def machine(tmp_path: Path) -> K3dMachine:
    """A machine whose cluster ``kecs-demo`` is half off."""
    machine = K3dMachine(tmp_path)
    machine.put("exited", "running")
    return machine


@pytest.fixture
async def service(machine: K3dMachine, tmp_path: Path) -> AsyncIterator[RunningService]:
    """A service that finds its programs there."""
    programs = {"K3D__PROGRAM": machine.settings.program, "K3D__DOCKER_PROGRAM": machine.settings.docker_program}
    service = RunningService(tmp_path / "home", programs, CONFIGURED)
    service.state_dir.mkdir()
    try:
        await service.start()
        yield service
    finally:
        await service.close()


async def test_clusters_of_kecs_are_listed(service: RunningService) -> None:
    """With what is wrong with them."""
    (instance,) = (await service.client.get("/instances")).json()["instances"]
    assert (instance["name"], instance["state"]) == ("demo", "half-off")
    assert f"{SERVER} is exited" in instance["detail"]


async def test_a_daemon_that_is_down_is_said_with_its_remedy(service: RunningService, machine: K3dMachine) -> None:
    """Not ready, and no instance taken for absent."""
    machine.change(daemon="down")
    refused = await service.client.get("/instances")
    assert (refused.status_code, refused.json()["code"]) == (503, "cluster-state-unknown")
    assert refused.json()["remedy"] == "Start Docker, then try again."
    assert (await service.client.get("/readyz")).status_code == 503
    assert (await service.post("/instances/demo/stop")).json()["code"] == "cluster-state-unknown"


async def test_a_half_off_cluster_is_powered_off_on_request(service: RunningService, machine: K3dMachine) -> None:
    """The way out that the refusal of a start names."""
    refused = await service.run("/instances/demo/start")
    assert refused["error"]["code"] == "cluster-half-off"
    job = await service.run("/instances/demo/stop", {"backup": {"mode": "skip"}})
    assert job["status"] == "succeeded", job
    assert {machine.status(name) for name in machine.world["containers"]} == {"exited"}
