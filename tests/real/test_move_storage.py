"""Between two real MinIOs: the one in the cluster, and another on this machine that its pods reach over the wire."""

import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from app.storage.errors import ObjectStoreUnavailable
from app.storage.s3 import S3Credentials, S3Store
from tests.instances import NAME
from tests.product import Product
from tests.real.available import need_real_clusters
from tests.real.binaries import binary
from tests.real.instance import RealInstance
from tests.service import free_port, running_service
from tests.waiting import eventually

KEYS = S3Credentials("outsider", "another-secret")
BUCKET, PREFIX = "backups", "team"


@contextmanager
def running_minio(directory: Path, port: int) -> Iterator[None]:
    """On every address of this machine; ended by its id."""
    environment = os.environ | {
        "MINIO_ROOT_USER": KEYS.access_key,
        "MINIO_ROOT_PASSWORD": KEYS.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [str(binary("minio")), "server", str(directory / "data"), "--address", f":{port}", "--quiet"]
    with (directory / "minio.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=10)


def outside(port: int, prefix: str = f"{PREFIX}/{NAME}") -> S3Store:
    """The other MinIO, as this machine reaches it."""
    return S3Store(f"http://127.0.0.1:{port}", KEYS, BUCKET, prefix=prefix)


async def keys(store: S3Store) -> set[str]:
    """Every object there."""
    async with store:
        return {found.key for found in await store.list_objects("backups/")}


async def has_bucket(port: int) -> bool:
    """Made as soon as the server answers."""
    try:
        async with outside(port) as store:
            await store.ensure_bucket()
    except ObjectStoreUnavailable:
        return False
    return True


@pytest.fixture
async def instance(tmp_path: Path) -> AsyncIterator[RealInstance]:
    """A cluster with its user's objects."""
    need_real_clusters()
    made = RealInstance(tmp_path / "home")
    try:
        await made.create()
        await made.seed()
        yield made
    finally:
        await made.delete()


@pytest.mark.real
@pytest.mark.timeout(400)
async def test_a_cluster_made_anew_is_restored_from_where_its_backups_moved(
    instance: RealInstance, tmp_path: Path
) -> None:
    """Proven in the cluster's MinIO, moved, and all of it back from the other; the first keeps what it had."""
    port = free_port()
    settings = {
        **instance.settings,
        "STORAGE__ENDPOINT": f"http://127.0.0.1:{port}",
        "STORAGE__CLUSTER_ENDPOINT": f"http://{instance.slot.host_address}:{port}",
        "STORAGE__BUCKET": BUCKET,
        "STORAGE__PREFIX": PREFIX,
        "STORAGE__ACCESS_KEY": KEYS.access_key,
        "STORAGE__SECRET_KEY": KEYS.secret_key,
    }
    async with running_service(instance.state_dir, instance.serve, **instance.settings) as service:
        product = Product(instance, service)
        await product.settled()
        backup = (await product.back_up())["result"]["backup"]
    inside = product.bucket / "velero" / "backups" / backup
    kept = sorted(path.name for path in inside.iterdir())
    with running_minio(tmp_path, port):
        await eventually(lambda: has_bucket(port))
        async with running_service(instance.state_dir, instance.serve, **settings) as service:
            product = Product(instance, service)
            job = await service.run(f"/instances/{NAME}/move-storage")
            assert job["status"] == "succeeded", job["error"]
            assert (job["result"]["moved"], job["warnings"]) == ([backup], [])
            moved = {key.rpartition("/")[2] for key in await keys(outside(port))}
            assert sorted(moved) == kept == sorted(path.name for path in inside.iterdir())
            await product.recreate()
            job = await product.start()
            assert (job["result"]["action"], job["result"]["backup"]) == ("restore", backup)
            assert job["result"]["restored"]["comparison"]["missing"] == []
            newer = (await product.stop())["result"]["backup"]
            assert f"backups/{newer}/velero-backup.json" in await keys(outside(port))
            assert not (inside.parent / newer).exists()
