"""Volumes of running pods: saved when that is asked for, named when they are not."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import DAEMON_SETS, PODS
from tests.instances import NAME as INSTANCE
from tests.instances import SandboxInstance
from tests.product import Product, sandbox_product
from tests.real.instance import RealInstance
from tests.waiting import eventually
from tests.workflows.conftest import REAL
from tests.workflows.surplus import watched_surplus
from tests.workflows.volumes import (
    MEBIBYTE,
    add_local_volume,
    add_workload,
    checksums,
    directory,
    write,
)


def days_later(product: Product) -> None:
    """As if repositories had last been cleaned two days ago."""
    record = json.loads(product.record.read_text())
    last = datetime.fromisoformat(record["volumes_maintained_at"]) - timedelta(days=2)
    product.record.write_text(json.dumps(record | {"volumes_maintained_at": last.isoformat()}))


def was_maintained_today(product: Product) -> bool:
    """By the instance's record."""
    last = datetime.fromisoformat(json.loads(product.record.read_text())["volumes_maintained_at"])
    return datetime.now(UTC) - last < timedelta(days=1)


TWO_WORLDS = pytest.mark.parametrize("products", [pytest.param(SandboxInstance, id="sandbox"), REAL], indirect=True)


async def gone(product: Product) -> bool:
    """Whether neither a pod of the stack nor the node-agent is left."""
    async with product.kube() as kube:
        return not (await kube.list(PODS, "velero")).items and not (await kube.list(DAEMON_SETS, "velero")).items


async def delete(product: Product, backup: str) -> dict[str, Any]:
    """The ended job that deletes it."""
    response = await product.service.client.delete(f"/instances/{INSTANCE}/backups/{backup}")
    return await product.service.ended(response.json()["id"])


@TWO_WORLDS
async def test_volumes_come_back_with_their_data_after_a_recreate(product: Product) -> None:
    """Saved twice, the second time only what is new; equal afterwards, and nothing of the node-agent is left."""
    product.service.job_seconds = 150  # pods are started for every volume, and for the cleaning
    claims = isinstance(product.instance, RealInstance)  # the sandbox has only directories of the node behind claims
    await add_workload(product, claim=claims)
    names = ["files", "table"] if claims else ["files"]
    places = [await directory(product, name) for name in names]
    for place in places:
        write(place / "large", 10 * MEBIBYTE)
    first = (await product.back_up(include_volumes=True))["result"]["proof"]
    write(places[0] / "new", MEBIBYTE)
    days_later(product)
    before = [checksums(place) for place in places]
    stop = await product.stop(include_volumes=True)
    second = stop["result"]["proof"]
    assert (stop["warnings"], was_maintained_today(product)) == ([], True)
    assert (first["volumes_saved"], second["volumes_saved"]) == (len(names), len(names))
    assert (first["volumes_uploaded_bytes"], second["volumes_uploaded_bytes"]) == (
        10 * MEBIBYTE * len(names),
        MEBIBYTE,
    )
    assert second["volumes_size_bytes"] == 10 * MEBIBYTE * len(names) + MEBIBYTE

    await product.recreate()
    if claims:
        async with product.kube() as kube:
            await add_local_volume(product, kube, "second")
    async with watched_surplus(product) as surplus:
        job = await product.start()
    assert job["error"] is None, job
    assert [volume["outcome"] for volume in job["result"]["restored"]["volumes"]] == ["restored"] * len(names)
    assert [checksums(await directory(product, name)) for name in names] == before
    assert (job["result"]["restore_outstanding"], surplus) == (None, [])
    assert (await delete(product, first["backup"]))["status"] == "succeeded"
    await eventually(lambda: gone(product))


async def test_an_instance_whose_policy_refuses_lost_volumes_runs_on(tmp_path: Path) -> None:
    """The problem names them; the caller may leave them out knowingly, and is told again."""
    async with sandbox_product(tmp_path, WORKFLOW__VOLUMES="refuse") as product:
        await add_workload(product)
        looked = (await product.service.client.get(f"/instances/{INSTANCE}/preflight")).json()
        job = await product.stop()
        assert product.state() == "running"
        left_out = (await product.back_up(include_volumes=False))["result"]
    assert not looked["would_stop"]
    assert (job["status"], job["error"]["code"]) == ("failed", "volumes-not-saved")
    assert any(":files (emptyDir)" in volume for volume in job["error"]["volumes"])
    named = {entry["name"]: entry["reason"] for entry in left_out["not_saved"]}
    assert any(name.endswith(":files (emptyDir)") and "unless" in reason for name, reason in named.items())
    assert {volume["at_stake"] for volume in left_out["volumes"]} == {True, False}
