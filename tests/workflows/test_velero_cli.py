"""What the service made, seen by the real Velero CLI of a person who woke the stack."""

import json
from pathlib import Path

import pytest

from tests.instances import NAME
from tests.product import Product
from tests.tools import Tool, program

pytestmark = [pytest.mark.whatever_driver, pytest.mark.tools]


async def test_the_velero_cli_agrees_with_the_service(product: Product, tmp_path: Path) -> None:
    """The same backup with the same number of items, its log and the restore that was made of it."""
    backup = (await product.stop())["result"]
    await product.recreate()
    started = (await product.start())["result"]
    await product.service.run(f"/instances/{NAME}/stack/wake")
    velero = Tool(program("velero"), product.instance.access().kubeconfig, tmp_path / "cli", "velero")
    name = backup["backup"]
    seen = json.loads(await velero.ok("backup", "get", name, "--output", "json"))
    assert (seen["metadata"]["name"], seen["status"]["phase"]) == (name, "Completed")
    described = await velero.ok("backup", "describe", name, "--details")
    items = seen["status"]["progress"]["itemsBackedUp"]
    assert f"Items backed up:              {items}" in described
    assert items >= backup["proof"]["items_in_inventory"]
    assert "- shop-us-east-1/web" in described
    assert name in await velero.ok("backup", "logs", name)
    restores = json.loads(await velero.ok("restore", "get", "--output", "json"))["items"]
    phases = {restore["status"]["phase"] for restore in restores if restore["spec"]["backupName"] == name}
    assert phases == {"Completed"}
    assert started["restored"]["comparison"]["missing"] == []
