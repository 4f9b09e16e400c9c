"""One backup at a time: looked at again, kept, deleted; and a failed job submitted again."""

from typing import Any

import pytest

from tests.bucket import BUCKET, bucket_awake
from tests.instances import NAME
from tests.product import Product

pytestmark = pytest.mark.whatever_driver

BACKUPS = f"/instances/{NAME}/backups"


async def job_of(product: Product, method: str, path: str, **options: Any) -> dict[str, Any]:
    """The ended job of a request."""
    response = await product.service.client.request(method, path, **options)
    assert response.status_code == 202, response.text
    return await product.service.ended(response.json()["id"])


async def code_of(product: Product, method: str, path: str) -> tuple[int, str]:
    """Status and code of a refusal."""
    response = await product.service.client.request(method, path)
    return response.status_code, response.json()["code"]


async def test_a_good_backup_is_good_at_every_level(product: Product) -> None:
    """Quick looks at names and sizes, deep reads every byte; both hold it against its proof."""
    backup = (await product.back_up())["result"]["backup"]
    quick = await job_of(product, "POST", f"{BACKUPS}/{backup}/validate", json={"level": "quick"})
    deep = await job_of(product, "POST", f"{BACKUPS}/{backup}/validate")
    for job, level in ((quick, "quick"), (deep, "deep")):
        assert job["status"] == "succeeded", job["error"]
        assert (job["result"]["level"], job["result"]["against"]) == (level, "proof")
    assert quick["result"]["objects"] == deep["result"]["objects"] > 0
    assert quick["result"]["size_bytes"] == deep["result"]["size_bytes"]
    assert (await product.backups())[0]["status"] == "proven"


@pytest.mark.seldom_on_real
async def test_a_damaged_backup_counts_as_proven_no_more(product: Product) -> None:
    """The job names the damage; the last good backup is then the one before."""
    older = (await product.back_up())["result"]["backup"]
    newer = (await product.back_up())["result"]["backup"]
    lose_object_of(product, newer)
    job = await job_of(product, "POST", f"{BACKUPS}/{newer}/validate", json={"level": "quick"})
    assert (job["status"], job["error"]["code"]) == ("failed", "backup-damaged")
    assert "is gone" in job["error"]["detail"]
    assert {row["id"]: row["status"] for row in await product.backups()} == {newer: "unproven", older: "proven"}
    assert (await product.service.client.get(f"/instances/{NAME}")).json()["last_proven_backup"] == older


def lose_object_of(product: Product, backup: str) -> None:
    """Let the proof know of an object that the bucket has not: the store itself is nobody's to write."""
    path = product.record.parent / "proofs" / backup / "proof.json"
    text = path.read_text()
    assert f"{backup}-logs.gz" in text
    path.write_text(text.replace(f"{backup}-logs.gz", f"{backup}-lost.gz"))


async def test_what_velero_said_of_a_backup_is_read_without_waking_anything(product: Product) -> None:
    """Log, results and contents come from this host, also while the cluster is off."""
    backup = (await product.stop())["result"]["backup"]
    client = product.service.client
    logs = await client.get(f"{BACKUPS}/{backup}/logs")
    assert logs.headers["content-type"].startswith("text/plain")
    assert logs.text
    assert {"errors", "warnings"} >= (await client.get(f"{BACKUPS}/{backup}/results")).json().keys()
    contents = (await client.get(f"{BACKUPS}/{backup}/contents")).json()
    assert any(name.startswith("internal") for names in contents.values() for name in names)
    assert product.state() == "stopped"


@pytest.mark.seldom_on_real
async def test_the_last_good_backup_is_deleted_only_by_force(product: Product) -> None:
    """What goes is gone from bucket, cluster and host; its row stays, whatever of it the bucket still lists."""
    backup = (made := await product.back_up())["result"]["backup"]
    assert await code_of(product, "DELETE", f"{BACKUPS}/{backup}") == (409, "last-good-backup")
    job = await job_of(product, "DELETE", f"{BACKUPS}/{backup}", params={"force": "true"})
    assert (job["type"], job["status"], job["result"]) == (
        "delete-backup",
        "succeeded",
        {"backup": backup, "deleted": True},
    )
    assert await product.backups() == []
    assert not (product.record.parent / "proofs" / backup).exists()
    assert await code_of(product, "DELETE", f"{BACKUPS}/{backup}") == (404, "backup-not-found")
    async with bucket_awake(product) as s3:
        await s3.put_object(Bucket=BUCKET, Key=f"backups/{backup}/rubbish", Body=b"rubbish")
    again = await product.back_up()
    assert again["status"] == "succeeded", again["error"]
    (deleted,) = (await product.service.client.get(f"{BACKUPS}?status=deleted")).json()["backups"]
    assert (deleted["id"], deleted["scope"], deleted["job_id"]) == (backup, "full", made["id"])


@pytest.mark.seldom_on_real
async def test_a_deleted_backup_that_was_put_back_is_listed_again(product: Product) -> None:
    """By whatever copied the bucket; its metadata make it a backup, and what was proven of it went with the proof."""
    backup = (made := await product.back_up())["result"]["backup"]
    async with bucket_awake(product) as s3:
        metadata = await s3.get_object(Bucket=BUCKET, Key=f"backups/{backup}/velero-backup.json")
        content = await metadata["Body"].read()
    await job_of(product, "DELETE", f"{BACKUPS}/{backup}", params={"force": "true"})
    async with bucket_awake(product) as s3:
        await s3.put_object(Bucket=BUCKET, Key=f"backups/{backup}/velero-backup.json", Body=content)
    newer = (await product.back_up())["result"]["backup"]
    rows = [(row["id"], row["status"], row["scope"], row["job_id"]) for row in await product.backups()]
    assert rows[1:] == [(backup, "unproven", "full", made["id"])]
    assert rows[0][0] == newer


@pytest.mark.seldom_on_real
async def test_a_pinned_backup_outlives_what_comes_after_it(product: Product) -> None:
    """Pins are extra to those kept; not even force deletes one."""
    first = (await product.back_up())["result"]["backup"]
    for _ in range(2):  # twice is once
        assert (await product.service.client.put(f"{BACKUPS}/{first}/pin")).json()["pinned"]
    second = (await product.back_up())["result"]["backup"]
    assert await code_of(product, "DELETE", f"{BACKUPS}/{first}?force=true") == (423, "backup-pinned")
    assert not (await product.service.client.delete(f"{BACKUPS}/{first}/pin")).json()["pinned"]
    job = await job_of(product, "DELETE", f"{BACKUPS}/{first}")
    assert job["status"] == "succeeded", job["error"]
    assert [row["id"] for row in await product.backups()] == [second]


@pytest.mark.seldom_on_real
async def test_what_is_due_cannot_be_deleted_and_what_is_off_not_reached(product: Product) -> None:
    """A stopped instance's bucket is out of reach; a backup that must come back stays, even by force."""
    backup = (await product.stop())["result"]["backup"]
    assert await code_of(product, "POST", f"{BACKUPS}/{backup}/validate") == (409, "instance-not-running")
    assert await code_of(product, "DELETE", f"{BACKUPS}/{backup}?force=true") == (409, "instance-not-running")
    await product.recreate()
    refused = await product.service.run(f"/instances/{NAME}/backups")
    assert refused["error"]["code"] == "restore-outstanding"
    assert await code_of(product, "DELETE", f"{BACKUPS}/{backup}?force=true") == (409, "restore-outstanding")


@pytest.mark.seldom_on_real
async def test_a_failed_job_is_submitted_again(product: Product) -> None:
    """With what it was sent with, as a new job; a job that succeeded is not."""
    failed = await product.service.run(f"/instances/{NAME}/backups", {"timeout_seconds": 0.01, "labels": {"by": "me"}})
    assert failed["status"] == "failed"
    again = await job_of(product, "POST", failed["links"]["retry"])
    assert (again["type"], again["labels"]) == ("backup", {"by": "me"})
    assert again["id"] != failed["id"]
    done = await product.back_up()
    assert await code_of(product, "POST", f"/jobs/{done['id']}/retry") == (409, "job-not-retryable")
