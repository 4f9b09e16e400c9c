"""Volumes of running pods: saved when that is asked for, named when they are not."""

import pytest

from app.kubernetes.resources import DAEMON_SETS, PODS
from tests.product import Product
from tests.waiting import eventually
from tests.workflows.conftest import REAL
from tests.workflows.volumes import (
    MEBIBYTE,
    add_local_volume,
    add_workload,
    checksums,
    directory,
    write,
)


@pytest.mark.parametrize("products", [REAL], indirect=True)
async def test_claims_and_empty_dirs_come_back_with_their_data(product: Product) -> None:
    """Saved twice, the second time only what is new; equal after the cluster was made anew."""
    await add_workload(product, claim=True)
    files, table = await directory(product), await directory(product, "table")
    write(files / "large", 20 * MEBIBYTE)
    write(table / "rows", 10 * MEBIBYTE)
    first = (await product.back_up(include_volumes=True))["result"]
    write(files / "new", MEBIBYTE)
    before = checksums(files), checksums(table)
    second = (await product.stop(include_volumes=True))["result"]
    print([ (v["volume"],v["size_bytes"],v["uploaded_bytes"],v["protection"],v["reason"],v["pod"]) for r in (first,second) for v in r["volumes"]], second["not_saved"])
    assert first["proof"]["volumes_uploaded_bytes"] >= 30 * MEBIBYTE
    assert MEBIBYTE <= second["proof"]["volumes_uploaded_bytes"] < 2 * MEBIBYTE
    assert second["proof"]["volumes_size_bytes"] >= 31 * MEBIBYTE
    await product.recreate()
    async with product.kube() as kube:
        await add_local_volume(product, kube, "second")
    job = await product.start()
    print(job["result"], job["error"], job["warnings"])
    assert {volume["outcome"] for volume in job["result"]["restored"]["volumes"]} == {"restored"}
    assert job["result"]["restored"]["comparison"]["missing"] == []
    assert (checksums(await directory(product)), checksums(await directory(product, "table"))) == before

    async def asleep() -> bool:
        async with product.kube() as kube:
            return not (await kube.list(PODS, "velero")).items and not (await kube.list(DAEMON_SETS, "velero")).items

    await eventually(asleep)
