"""Tasks outside of services: what a power-off ends runs once more, or not, by policy."""

from typing import Any

import pytest

from app.kubernetes.resources import PODS
from app.workflows.tasks import was_ended
from tests.instances import NAME
from tests.product import Product
from tests.waiting import eventually
from tests.workflows.conftest import SOON, Products


async def tasks_of(product: Product) -> dict[str, dict[str, Any]]:
    """The seed's tasks, which shall not restart by themselves, by ``namespace/name``."""
    async with product.kube() as kube:
        pods = (await kube.list(PODS)).items
    return {
        f"{pod['metadata']['namespace']}/{pod['metadata']['name']}": pod
        for pod in pods
        if "kecs.dev/task-id" in (pod["metadata"].get("labels") or {})
    }


async def until_phase(product: Product, phase: str) -> None:
    """Wait until all of them are in it: no job waits for tasks, which may take as long as they like to begin."""

    async def so() -> bool:
        return {task["status"]["phase"] for task in (await tasks_of(product)).values()} == {phase}

    await eventually(so)


async def test_tasks_that_the_power_off_ended_run_once_more(product: Product) -> None:
    """What was running is running, from its beginning, and the job says so; every other pod is the one it was."""
    before, pods = await tasks_of(product), await product.pods()
    await product.stop()
    job = await product.start()
    assert job["result"]["action"] == "repair"
    assert {name.removeprefix("pods ") for name in job["result"]["restored"]["rerun_tasks"]} == before.keys()
    await until_phase(product, "Running")
    assert (await tasks_of(product)).keys() == before.keys()
    survived = await product.pods()
    assert {name for name in pods if survived.get(name) != pods[name]} == before.keys()


@pytest.mark.seldom_on_real
async def test_tasks_are_left_ended_when_that_is_asked_for(product: Product) -> None:
    """Their pods stay, named before their node tells of their end; the stack is not woken. They can be run later."""
    before = await tasks_of(product)
    await product.stop()
    job = await product.start(rerun_tasks="skip")
    assert {name.removeprefix("pods ") for name in job["result"]["restored"]["tasks_not_run"]} == before.keys()
    assert "wake-stack" not in await product.steps(job)
    await until_phase(product, "Failed")
    after = await tasks_of(product)
    assert {task["metadata"]["uid"] for task in after.values()} == {task["metadata"]["uid"] for task in before.values()}
    later = await product.start(mode="always")
    assert {name.removeprefix("pods ") for name in later["result"]["restored"]["rerun_tasks"]} == before.keys()
    await until_phase(product, "Running")


@pytest.mark.seldom_on_real
@pytest.mark.whatever_driver
async def test_tasks_can_be_left_out_of_a_cluster_made_anew(products: Products) -> None:
    """By the service's setting; everything else comes back, and nothing counts as missing."""
    async with products(**SOON, WORKFLOW__RERUN_TASKS="skip") as product:
        before = await tasks_of(product)
        await product.stop()
        await product.recreate()
        job = await product.start()
        restored = job["result"]["restored"]
        assert {name.removeprefix("pods ") for name in restored["tasks_not_run"]} == before.keys()
        assert (restored["rerun_tasks"], restored["comparison"]["missing"]) == ([], [])
        assert await tasks_of(product) == {}
        assert (await product.service.client.get(f"/instances/{NAME}")).json()["restore_outstanding"] is None


def pod(phase: str, *, restart: str = "Never", uid: str = "1", **ended: Any) -> dict[str, Any]:
    """A task as its node tells of it; ``ended`` is how its container did."""
    statuses = [{"state": {"terminated": ended}}] if ended else [{"state": {"running": {}}}]
    return {
        "metadata": {"uid": uid},
        "spec": {"restartPolicy": restart},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


@pytest.mark.parametrize(
    ("task", "at_once", "at_any_time"),
    [
        (pod("Failed", reason="Unknown", exitCode=255), True, True),
        (pod("Failed", reason="ContainerStatusUnknown", exitCode=137), True, True),
        (pod("Failed", reason="Error", exitCode=137), True, True),
        (pod("Failed", reason="OOMKilled", exitCode=137), False, False),
        (pod("Failed", reason="Error", exitCode=1), False, False),
        (pod("Succeeded", reason="Completed", exitCode=0), False, False),
        (pod("Running"), True, False),
        (pod("Running", restart="Always"), False, False),
        (pod("Running", restart="OnFailure"), False, False),
        (pod("Failed", uid="2", reason="Unknown", exitCode=255), False, False),
    ],
)
def test_what_a_power_off_has_ended(task: dict[str, Any], at_once: bool, at_any_time: bool) -> None:
    """Not what ended by itself, nor what runs on, nor another pod of the same name."""
    assert was_ended(task, "1", power_was_off=True) is at_once
    assert was_ended(task, "1", power_was_off=False) is at_any_time
