"""Backups in a store outside of the cluster: the same stories, without a MinIO in it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import STATEFUL_SETS
from app.storage.ownership import OWNER_KEY
from tests.chaos.victims import kill_in
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


async def move(product: Product, to: str) -> dict[str, Any]:
    """The ended job."""
    return await product.service.run(f"/instances/{NAME}/move-storage", {"to": to})


async def killed_move(product: Product, to: str) -> dict[str, Any]:
    """The same, with the service killed while it copies and while it switches."""
    job: dict[str, Any] = (await product.service.post(f"/instances/{NAME}/move-storage", {"to": to})).json()
    for step in ("copy-backups", "switch-storage"):
        await kill_in(product, job, step)
    return await product.service.ended(job["id"])


@pytest.mark.timeout(180)
async def test_backups_move_into_the_cluster_and_out_again(product: Product, store: ExternalStore) -> None:
    """Proven in each place before it is used; the source keeps all it had, and what comes back comes from there."""
    first = (await product.back_up())["result"]["backup"]
    partial = (await product.back_up(include_namespaces=["default"]))["result"]["backup"]
    await is_all_outside(product, store, first)
    before = await store.keys()
    job = await killed_move(product, "internal")
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


async def is_all_outside(product: Product, store: ExternalStore, backup: str) -> None:
    """Nothing of a MinIO in the cluster or on this host, and a proof that does not claim more than was seen."""
    proof = json.loads((product.record.parent / "proofs" / backup / "proof.json").read_text())
    assert (proof["verdict"], proof["canary"]["status"]) == ("proven", "n/a")
    assert f"backups/{backup}/velero-backup.json" in await store.keys("backups/")
    async with product.kube() as kube:
        assert await kube.find(STATEFUL_SETS, "minio", "velero") is None
    assert not product.bucket.exists()
    storage = json.loads(product.record.read_text())["storage"]
    assert storage == {"endpoint": store.server.url, "bucket": "backups", "prefix": f"team/{NAME}"}


async def test_a_place_of_another_instance_is_not_taken(product: Product, store: ExternalStore) -> None:
    """By a backup, before anything is woken; the preflight and the doctor say so too."""
    async with store.client() as client:
        await client.put(OWNER_KEY, b'{"instance_id": "theirs"}')
    before = await store.keys()
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "foreign-prefix")
    assert "wake-stack" not in await product.steps(job)
    look = (await product.service.client.get(f"/instances/{NAME}/preflight")).json()
    assert [check["code"] for check in look["checks"] if check["outcome"] == "refused"] == ["foreign-prefix"]
    assert look["would_stop"] is False
    (doctor,) = (await product.service.client.get("/doctor")).json()["instances"]
    assert "foreign-prefix" in {check["code"] for check in doctor["checks"]}
    assert (await store.keys(), product.state()) == (before, "running")


@pytest.mark.timeout(180)
async def test_a_move_to_no_store_or_to_one_of_no_use_changes_nothing(tmp_path: Path, store: ExternalStore) -> None:
    """No store configured; then one whose bucket is missing, that the cluster cannot reach, or that is silent."""
    async with sandbox_product(tmp_path / "home", WORKFLOW__RETRY_TIMEOUT_SECONDS="0.5") as product:
        await product.back_up()
        record = product.record.read_text()
        refused = await product.service.post(f"/instances/{NAME}/move-storage")
        assert (refused.status_code, refused.json()["code"]) == (409, "external-store-not-configured")
        for changed, code in (
            ({"STORAGE__BUCKET": "nowhere"}, "bucket-missing"),
            ({"STORAGE__CLUSTER_ENDPOINT": "http://nobody.invalid"}, "store-not-reached-from-cluster"),
            ({"STORAGE__ENDPOINT": "http://127.0.0.1:9"}, "object-store-unavailable"),
        ):
            await product.service.serve_with(**{**store.settings, **changed})
            job = await move(product, "external")
            assert (job["status"], job["error"]["code"]) == ("failed", code)
        assert product.record.read_text() == record
        assert (await product.back_up())["status"] == "succeeded"
