"""Looking for what may go wrong before it does, on the whole product."""

import socket
from typing import Any

import pytest

from app.kubernetes.resources import NODES
from app.sandbox.ports import free_port
from tests.instances import NAME
from tests.product import Product, sandbox_product


async def diagnosis(product: Product) -> dict[str, dict[str, Any]]:
    """The instance's checks by name."""
    found = (await product.service.client.get("/doctor", params={"instance": NAME})).json()
    (instance,) = found["instances"]
    return {check["name"]: check for check in instance["checks"]}


@pytest.fixture
async def product(tmp_path: Any) -> Any:
    """The sandbox, since what is looked at is the machine's and not the cluster's."""
    async with sandbox_product(tmp_path) as product:
        yield product


async def test_a_sound_instance_is_found_sound_and_left_asleep(product: Product) -> None:
    """Nothing is woken or made by looking."""
    (product.record.parent / "config.yaml").write_text(f"name: {NAME}\napiPort: 5373\ntraefik: true\n")
    before = await product.pods()
    checks = await diagnosis(product)
    assert {name: check["outcome"] for name, check in checks.items() if check["outcome"] != "ok"} == {
        "network policy": "warns"  # the truth of the sandbox, as of KECS's own clusters
    }
    assert {"config.yaml", "storage", "clock"} <= set(checks)
    assert await product.pods() == before
    assert not product.record.exists()


async def test_a_small_node_is_told(product: Product) -> None:
    """KECS's optimized mode gives 512 MiB."""
    async with product.kube() as kube:
        (node,) = (await kube.list(NODES)).items
        node["status"]["capacity"]["memory"] = "524288Ki"
        path = NODES.path(None, node["metadata"]["name"], "status")
        await kube.transport.request("PUT", path, body=node)
    check = next(check for name, check in (await diagnosis(product)).items() if name.startswith("memory of"))
    assert (check["outcome"], check["detail"].startswith("512 MiB")) == ("warns", True)
    assert check["remedy"]


@pytest.mark.parametrize("content", ["apiPort: [", "apiPort: many", "apiPort: 70000", "- a list"])
async def test_a_broken_file_of_kecs_is_named(product: Product, content: str) -> None:
    """With what is wrong in it, and nothing quoted."""
    (product.record.parent / "config.yaml").write_text(content)
    check = (await diagnosis(product))["config.yaml"]
    assert (check["outcome"], "config.yaml" in check["detail"]) == ("refused", True)


async def test_a_taken_port_is_told_while_the_instance_is_off(product: Product) -> None:
    """Docker would only say so half way through the start."""
    taken, free = free_port(), free_port()
    (product.record.parent / "config.yaml").write_text(f"apiPort: {taken}\nadminPort: {free}\n")
    await product.stop(mode="skip")
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", taken))
        holder.listen()
        checks = await diagnosis(product)
    assert (checks[f"port {taken}"]["outcome"], checks[f"port {free}"]["outcome"]) == ("refused", "ok")
    assert f":{taken}" in checks[f"port {taken}"]["remedy"]
