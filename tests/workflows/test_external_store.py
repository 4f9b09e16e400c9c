"""Backups in a store outside of the cluster: the same stories, without a MinIO in it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import STATEFUL_SETS
from tests.instances import NAME
from tests.product import Product, sandbox_product
from tests.workflows.external_store import ExternalStore, running_external_store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[ExternalStore]:
    """With its bucket."""
    with running_external_store(tmp_path / "store") as running:
        async with running.client() as client:
            await client.ensure_bucket()
        yield running


@pytest.fixture
async def product(tmp_path: Path, store: ExternalStore) -> AsyncIterator[Product]:
    """An instance that has never been backed up."""
    async with sandbox_product(tmp_path / "home", **store.settings) as running:
        yield running


async def test_a_cluster_made_anew_gets_its_state_from_the_external_store(
    product: Product, store: ExternalStore
) -> None:
    """Stop, proof, recreation, restore; nothing of a MinIO in the cluster, and nothing below its directory."""
    job = await product.stop()
    assert job["status"] == "succeeded", job["error"]
    backup = job["result"]["backup"]
    proof = json.loads((product.record.parent / "proofs" / backup / "proof.json").read_text())
    assert (proof["verdict"], proof["canary"]["status"]) == ("proven", "n/a")
    assert f"backups/{backup}/velero-backup.json" in await store.keys("backups/")
    await product.recreate()
    job = await product.start()
    assert (job["result"]["action"], job["result"]["restored"]["comparison"]["missing"]) == ("restore", [])
    async with product.kube() as kube:
        assert await kube.find(STATEFUL_SETS, "minio", "velero") is None
    assert not product.bucket.exists()
    storage = json.loads(product.record.read_text())["storage"]
    assert storage == {"endpoint": store.server.url, "bucket": "backups", "prefix": f"team/{NAME}"}


async def move(product: Product, to: str) -> dict[str, Any]:
    """The ended job."""
    return await product.service.run(f"/instances/{NAME}/move-storage", {"to": to})


async def test_backups_move_into_the_cluster_and_out_again(product: Product, store: ExternalStore) -> None:
    """Proven in each place before it is used; the source keeps all it had, and what comes back comes from there."""
    first = (await product.back_up())["result"]["backup"]
    partial = (await product.back_up(include_namespaces=["default"]))["result"]["backup"]
    before = await store.keys()
    job = await move(product, "internal")
    assert job["status"] == "succeeded", job["error"]
    assert (job["result"]["moved"], job["result"]["left_behind"]) == ([first, partial], [])
    assert json.loads(product.record.read_text())["storage"]["host_path"] == str(product.bucket)
    assert before <= await store.keys()
    second = (await product.back_up())["result"]["backup"]
    assert not await store.keys(f"backups/{second}/")
    job = await move(product, "external")
    assert job["result"]["moved"] == [first, partial, second]
    assert (await move(product, "external"))["result"]["noop"] is True
    await product.stop()
    await product.recreate()
    job = await product.start()
    assert job["result"]["restored"]["comparison"]["missing"] == []
