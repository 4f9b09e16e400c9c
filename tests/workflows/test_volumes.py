"""Volumes of running pods: saved when that is asked for, named when they are not."""

from pathlib import Path

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

TWO_WORLDS = pytest.mark.parametrize("products", [pytest.param(SandboxInstance, id="sandbox"), REAL], indirect=True)


@TWO_WORLDS
async def test_volumes_come_back_with_their_data_after_a_recreate(product: Product) -> None:
    """Saved twice, the second time only what is new; equal afterwards, and nothing of the node-agent is left."""
    claims = isinstance(product.instance, RealInstance)  # the sandbox has only directories of the node behind claims
    await add_workload(product, claim=claims)
    names = ["files", "table"] if claims else ["files"]
    places = [await directory(product, name) for name in names]
    for place in places:
        write(place / "large", 10 * MEBIBYTE)
    first = (await product.back_up(include_volumes=True))["result"]["proof"]
    write(places[0] / "new", MEBIBYTE)
    before = [checksums(place) for place in places]
    stopped = (await product.stop(include_volumes=True))["result"]
    assert (first["volumes_saved"], stopped["proof"]["volumes_saved"]) == (len(names), len(names))
    assert first["volumes_uploaded_bytes"] == 10 * MEBIBYTE * len(names)
    assert stopped["proof"]["volumes_uploaded_bytes"] == MEBIBYTE
    assert stopped["proof"]["volumes_size_bytes"] == 10 * MEBIBYTE * len(names) + MEBIBYTE

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

    async def asleep() -> bool:
        async with product.kube() as kube:
            return not (await kube.list(PODS, "velero")).items and not (await kube.list(DAEMON_SETS, "velero")).items

    await eventually(asleep)


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
    assert {volume["protection"] for volume in left_out["volumes"]} == {"skipped", "unsupported"}
