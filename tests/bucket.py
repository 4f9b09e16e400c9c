"""What lies in the bucket, looked at by the store's own protocol without any of the service's code."""

import configparser
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiobotocore.session import get_session

from tests.instances import NAME
from tests.product import Product

BUCKET = "velero"
WHOLE = "/velero-backup.json"


async def backups_in_bucket(product: Product) -> set[str]:
    """Names of the whole backups."""
    return {key.split("/")[1] for key in await keys_in_bucket(product) if key.endswith(WHOLE)}


async def keys_in_bucket(product: Product) -> list[str]:
    """Every key below ``backups/``."""
    async with bucket_awake(product) as s3:
        pages = [page async for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix="backups/")]
    return [item["Key"] for page in pages for item in page.get("Contents", [])]


@asynccontextmanager
async def bucket_awake(product: Product) -> AsyncIterator[Any]:
    """A client of S3; the stack is woken for it, and put to sleep again."""
    woken = await product.service.run(f"/instances/{NAME}/stack/wake")
    keys = configparser.ConfigParser(interpolation=None)
    keys.read(product.state_dir / "instances" / NAME / "velero-config" / "credentials")
    client = get_session().create_client(
        "s3",
        endpoint_url=woken["result"]["s3_url"],
        region_name="us-east-1",
        aws_access_key_id=keys["default"]["aws_access_key_id"],
        aws_secret_access_key=keys["default"]["aws_secret_access_key"],
    )
    async with client as s3:
        yield s3
    await product.service.run(f"/instances/{NAME}/stack/sleep")
