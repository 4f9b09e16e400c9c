"""The object store: what the service and Velero rely on, through the API server's port-forward."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from botocore.exceptions import ClientError

from app.storage.errors import ObjectNotFound
from app.storage.s3 import S3Credentials, S3Store
from tests.contract.velero import a_name, validate_anew
from tests.contract.world import KEYS, World

BUCKET = "velero"


@pytest_asyncio.fixture
async def s3(awake: World) -> Any:
    """The library's own client, for what our adapter never sends."""
    return awake.store._client


@pytest_asyncio.fixture
async def prefix(awake: World) -> AsyncIterator[str]:
    """A corner of the bucket of the test's own, in a folder Velero allows: no validation may see another one."""
    corner = f"plugins/{a_name('contract')}/"
    yield corner
    await awake.store.delete([found.key for found in await awake.store.list_objects(corner)])


def refused(error: pytest.ExceptionInfo[ClientError]) -> tuple[str, int]:
    """Code and HTTP status of a refusal."""
    answer = error.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


async def test_velero_does_not_mind_the_corner_of_these_tests(awake: World, prefix: str) -> None:
    """A folder it does not know makes its location unavailable until the next validation, and fails other tests."""
    await awake.store.put(prefix + "something", b"x")
    await validate_anew(awake)


async def test_an_unsigned_request_is_refused(awake: World) -> None:
    """Nothing in the bucket is public: it holds Secrets."""
    async with httpx.AsyncClient() as anybody:
        answer = await anybody.get(f"{awake.s3_url}/{BUCKET}?list-type=2")
    assert (answer.status_code, "AccessDenied" in answer.text) == (403, True)


async def test_a_wrong_secret_is_told_from_an_unknown_user(awake: World) -> None:
    """By the code the service knows whether its credentials were changed under it."""
    for keys, code in (
        (S3Credentials(KEYS.access_key, "something-else"), "SignatureDoesNotMatch"),
        (S3Credentials("nobody", "something-else"), "InvalidAccessKeyId"),
    ):
        async with S3Store(awake.s3_url, keys, BUCKET) as store:
            with pytest.raises(ClientError) as error:
                await store._client.list_objects_v2(Bucket=BUCKET)
            assert refused(error) == (code, 403)


async def test_a_presigned_address_needs_no_keys(s3: Any, prefix: str) -> None:
    """Velero's DownloadRequests give such addresses to its CLI."""
    await s3.put_object(Bucket=BUCKET, Key=prefix + "log", Body=b"lines")
    address = await s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": prefix + "log"})
    async with httpx.AsyncClient() as anybody:
        assert (await anybody.get(address)).content == b"lines"
        assert (await anybody.get(address.replace("Signature=", "Signature=0"))).status_code == 403


async def test_what_is_put_is_got(awake: World, prefix: str) -> None:
    """Byte by byte."""
    content = bytes(range(256)) * 1000
    await awake.store.put(prefix + "all-bytes", content)
    assert await awake.store.get(prefix + "all-bytes") == content


async def test_an_empty_object_is_an_object(awake: World, prefix: str) -> None:
    """It is listed with size 0."""
    await awake.store.put(prefix + "empty", b"")
    (found,) = await awake.store.list_objects(prefix)
    assert (found.size, await awake.store.get(found.key)) == (0, b"")


async def test_a_put_replaces(awake: World, prefix: str) -> None:
    """There is one version: what was there is gone."""
    await awake.store.put(prefix + "once", b"first, and longer")
    await awake.store.put(prefix + "once", b"second")
    assert await awake.store.get(prefix + "once") == b"second"
    assert [found.size for found in await awake.store.list_objects(prefix)] == [6]


async def test_keys_are_any_text(awake: World, prefix: str) -> None:
    """Signed and listed as they are."""
    names = {f"{prefix}{name}" for name in ("with space", "plus+", "per%20cent", "ümläut", "a=b&c", "dots..")}
    for name in names:
        await awake.store.put(name, name.encode())
    assert {found.key for found in await awake.store.list_objects(prefix)} == names
    for name in names:
        assert await awake.store.get(name) == name.encode()


async def test_a_missing_key_is_told_from_a_missing_bucket(s3: Any, prefix: str) -> None:
    """A backup that is gone is another story than a store that is."""
    for bucket, code in ((BUCKET, "NoSuchKey"), ("never-made", "NoSuchBucket")):
        with pytest.raises(ClientError) as error:
            await s3.get_object(Bucket=bucket, Key=prefix + "missing")
        assert refused(error) == (code, 404)


async def test_a_missing_object_is_an_error_of_its_own(awake: World, prefix: str) -> None:
    """The adapter says not found, which is no trouble of the store."""
    with pytest.raises(ObjectNotFound):
        await awake.store.get(prefix + "missing")


async def test_a_head_of_a_missing_object_has_no_code_but_404(s3: Any, prefix: str) -> None:
    """An answer to HEAD has no body to say more in."""
    with pytest.raises(ClientError) as error:
        await s3.head_object(Bucket=BUCKET, Key=prefix + "missing")
    assert refused(error) == ("404", 404)


async def test_a_head_gives_size_and_time(s3: Any, prefix: str) -> None:
    """Without the content."""
    await s3.put_object(Bucket=BUCKET, Key=prefix + "known", Body=b"12345")
    found = await s3.head_object(Bucket=BUCKET, Key=prefix + "known")
    assert found["ContentLength"] == 5
    assert found["LastModified"].tzinfo is not None


async def test_the_etag_of_a_plain_object_is_its_md5(s3: Any, prefix: str) -> None:
    """So an overwritten object shows without being read."""
    made = await s3.put_object(Bucket=BUCKET, Key=prefix + "tagged", Body=b"content")
    assert made["ETag"].strip('"') == hashlib.md5(b"content", usedforsecurity=False).hexdigest()


async def test_a_listing_is_sorted_and_of_its_prefix(awake: World, prefix: str) -> None:
    """By bytes; a key that only begins alike in another corner is not in it."""
    for name in ("b", "a/2", "a/1", "A"):
        await awake.store.put(prefix + name, b"x")
    assert [found.key for found in await awake.store.list_objects(prefix)] == [
        prefix + name for name in ("A", "a/1", "a/2", "b")
    ]
    assert len(await awake.store.list_objects(prefix + "a/")) == 2


async def test_a_listing_with_a_delimiter_gives_folders(s3: Any, prefix: str) -> None:
    """That is how Velero finds backups."""
    for name in ("one/x", "one/y", "two/deep/z", "file"):
        await s3.put_object(Bucket=BUCKET, Key=prefix + name, Body=b"x")
    listed = await s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix, Delimiter="/")
    assert [entry["Prefix"] for entry in listed["CommonPrefixes"]] == [f"{prefix}one/", f"{prefix}two/"]


async def test_a_long_listing_comes_in_pages(s3: Any, prefix: str) -> None:
    """Each says how the next is asked for; together they hold every key once."""
    for number in range(5):
        await s3.put_object(Bucket=BUCKET, Key=f"{prefix}{number}", Body=b"x")
    found, token = [], {}
    while True:
        page = await s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix, MaxKeys=2, **token)
        found += [entry["Key"] for entry in page["Contents"]]
        if not page["IsTruncated"]:
            break
        token = {"ContinuationToken": page["NextContinuationToken"]}
    assert found == [f"{prefix}{number}" for number in range(5)]


async def test_a_page_of_folders_is_continued_too(s3: Any, prefix: str) -> None:
    """With a delimiter a page counts folders."""
    for number in range(5):
        await s3.put_object(Bucket=BUCKET, Key=f"{prefix}{number}/x", Body=b"x")
    paginator = s3.get_paginator("list_objects_v2")
    pages = paginator.paginate(Bucket=BUCKET, Prefix=prefix, Delimiter="/", PaginationConfig={"PageSize": 2})
    found = [entry["Prefix"] async for page in pages for entry in page.get("CommonPrefixes", [])]
    assert found == [f"{prefix}{number}/" for number in range(5)]


async def test_an_empty_prefix_lists_nothing(awake: World, prefix: str) -> None:
    """And is no error."""
    assert await awake.store.list_objects(prefix) == []


async def test_deleting_what_is_not_there_is_success(s3: Any, prefix: str) -> None:
    """So a deletion may run twice."""
    answer = await s3.delete_object(Bucket=BUCKET, Key=prefix + "missing")
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 204


async def test_many_are_deleted_at_once(awake: World, prefix: str) -> None:
    """Missing ones among them change nothing."""
    for number in range(5):
        await awake.store.put(f"{prefix}{number}", b"x")
    await awake.store.delete([f"{prefix}{number}" for number in range(8)])
    assert await awake.store.list_objects(prefix) == []


async def test_a_part_of_an_object_can_be_read(s3: Any, prefix: str) -> None:
    """By a byte range; one beyond the end is refused."""
    await s3.put_object(Bucket=BUCKET, Key=prefix + "part", Body=b"0123456789")
    answer = await s3.get_object(Bucket=BUCKET, Key=prefix + "part", Range="bytes=2-4")
    assert (await answer["Body"].read(), answer["ResponseMetadata"]["HTTPStatusCode"]) == (b"234", 206)
    with pytest.raises(ClientError) as error:
        await s3.get_object(Bucket=BUCKET, Key=prefix + "part", Range="bytes=50-60")
    assert refused(error) == ("InvalidRange", 416)


async def test_an_upload_in_parts_becomes_one_object(s3: Any, prefix: str) -> None:
    """As Velero's plugin uploads a large backup; the tag says of how many parts."""
    key, parts = prefix + "large", [b"a" * 5 * 1024**2, b"b" * 1024]
    upload = (await s3.create_multipart_upload(Bucket=BUCKET, Key=key))["UploadId"]
    tags = []
    for number, body in enumerate(parts, 1):
        made = await s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=number, Body=body)
        tags.append({"PartNumber": number, "ETag": made["ETag"]})
    assert await folder(s3, prefix) == [], "nothing is there before it is complete"
    await s3.complete_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload, MultipartUpload={"Parts": tags})
    answer = await s3.get_object(Bucket=BUCKET, Key=key)
    assert await answer["Body"].read() == b"".join(parts)
    assert answer["ETag"].strip('"').endswith("-2")


async def test_an_aborted_upload_leaves_nothing(s3: Any, prefix: str) -> None:
    """No object, and its id is forgotten."""
    key = prefix + "aborted"
    upload = (await s3.create_multipart_upload(Bucket=BUCKET, Key=key))["UploadId"]
    await s3.upload_part(Bucket=BUCKET, Key=key, UploadId=upload, PartNumber=1, Body=b"x" * 1024)
    await s3.abort_multipart_upload(Bucket=BUCKET, Key=key, UploadId=upload)
    assert await folder(s3, prefix) == []
    with pytest.raises(ClientError) as error:
        await s3.list_parts(Bucket=BUCKET, Key=key, UploadId=upload)
    assert refused(error) == ("NoSuchUpload", 404)


async def test_a_wrong_md5_is_refused(s3: Any, prefix: str) -> None:
    """What was damaged on the way is not stored."""
    wrong = "AAAAAAAAAAAAAAAAAAAAAA=="
    with pytest.raises(ClientError) as error:
        await s3.put_object(Bucket=BUCKET, Key=prefix + "damaged", Body=b"content", ContentMD5=wrong)
    assert refused(error) == ("BadDigest", 400)
    assert await folder(s3, prefix) == []


async def test_a_wrong_sha256_is_refused(s3: Any, prefix: str) -> None:
    """The same for the newer checksums."""
    wrong = "A" * 43 + "="
    with pytest.raises(ClientError) as error:
        await s3.put_object(Bucket=BUCKET, Key=prefix + "damaged", Body=b"content", ChecksumSHA256=wrong)
    assert refused(error)[1] == 400
    assert await folder(s3, prefix) == []


async def test_a_download_is_hashed_on_the_way(awake: World, prefix: str, tmp_path: Path) -> None:
    """The proof's hashes are of what came through the tunnel: 16 MiB of it."""
    content = hashlib.shake_128(b"seed").digest(16 * 1024**2)
    await awake.store.put(prefix + "large", content)
    download = await awake.store.download(prefix + "large", tmp_path / "large")
    assert (download.size, download.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert (tmp_path / "large").read_bytes() == content


async def test_requests_side_by_side_do_not_mix(awake: World, prefix: str) -> None:
    """Twenty at once through one tunnel."""
    contents = {f"{prefix}{number}": str(number).encode() * 1000 for number in range(20)}
    await asyncio.gather(*(awake.store.put(key, content) for key, content in contents.items()))
    assert await asyncio.gather(*(awake.store.get(key) for key in contents)) == list(contents.values())


async def test_making_the_bucket_twice_is_success(awake: World) -> None:
    """Every wake asks for it."""
    await awake.store.ensure_bucket()
    await awake.store.ensure_bucket()


async def test_what_is_put_lies_on_the_host_at_once(awake: World) -> None:
    """The canary of every proof: 64 bytes in the bucket's root stand somewhere below the host directory."""
    canary = hashlib.sha512(b"canary").digest()
    await awake.store.put("contract-canary", canary)
    try:
        data = await awake.bucket_on_host()
        assert any(canary in path.read_bytes() for path in data.rglob("*") if path.is_file())
    finally:
        await awake.store.delete(["contract-canary"])


async def folder(s3: Any, prefix: str) -> list[str]:
    """Keys below a prefix."""
    page = await s3.list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [entry["Key"] for entry in page.get("Contents", [])]
