"""Between two real MinIOs: the one in the cluster, and another on this machine that its pods reach over the wire."""

import base64
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.sandbox.ports import free_port
from app.storage.errors import ObjectStoreUnavailable
from app.storage.s3 import S3Credentials, S3Options, S3Store
from app.velero.models import BACKUP_STORAGE_LOCATIONS
from tests.clusters.certificates import self_signed
from tests.instances import NAME
from tests.product import Product
from tests.real.available import need_real_clusters
from tests.real.binaries import binary
from tests.real.instance import RealInstance
from tests.service import running_service
from tests.waiting import eventually
from tests.workflows.volumes import MEBIBYTE, add_workload, checksums, directory, write

KEYS = S3Credentials("outsider", "another-secret")
BUCKET, PREFIX = "backups", "team"


@dataclass(frozen=True)
class Outside:
    """The other MinIO, by HTTPS with a certificate of its own authority; the cluster's pods reach the same address."""

    url: str
    authority: Path

    def store(self) -> S3Store:
        """What lies there of the instance."""
        options = S3Options(ca_file=self.authority)
        return S3Store(self.url, KEYS, BUCKET, prefix=f"{PREFIX}/{NAME}", options=options)

    async def keys(self) -> set[str]:
        """Every object of its backups."""
        async with self.store() as store:
            return {found.key for found in await store.list_objects("backups/")}

    async def has_bucket(self) -> bool:
        """Made as soon as the server answers."""
        try:
            async with self.store() as store:
                await store.ensure_bucket()
        except ObjectStoreUnavailable:
            return False
        return True

    async def location(self, product: Product) -> tuple[str, str]:
        """Address and credentials of the cluster's own location."""
        async with product.kube() as kube:
            spec = (await kube.get(BACKUP_STORAGE_LOCATIONS, "default", "velero"))["spec"]
        return spec["config"]["s3Url"], spec["credential"]["name"]

    @property
    def settings(self) -> dict[str, str]:
        """What the service is told of it."""
        return {
            "STORAGE__ENDPOINT": self.url,
            "STORAGE__BUCKET": BUCKET,
            "STORAGE__PREFIX": PREFIX,
            "STORAGE__CA_FILE": str(self.authority),
            "STORAGE__ACCESS_KEY": KEYS.access_key,
            "STORAGE__SECRET_KEY": KEYS.secret_key,
        }


def write_certificate(directory: Path, address: str) -> Path:
    """As MinIO looks for them; returns the authority's file."""
    directory.mkdir()
    authority, _ = self_signed(directory, address)
    certificate = base64.b64decode(authority)
    (directory / "public.crt").write_bytes(certificate)
    key = (directory / "server.pem").read_bytes().removeprefix(certificate)
    (directory / "private.key").write_bytes(key)
    return directory / "public.crt"


@contextmanager
def running_minio(home: Path, address: str) -> Iterator[Outside]:
    """On an address of this machine; ended by its id."""
    authority, port = write_certificate(home / "certs", address), free_port()
    environment = os.environ | {
        "MINIO_ROOT_USER": KEYS.access_key,
        "MINIO_ROOT_PASSWORD": KEYS.secret_key,
        "MINIO_BROWSER": "off",
        "MINIO_UPDATE": "off",
    }
    command = [str(binary("minio")), "server", str(home / "data"), "--address", f"{address}:{port}"]
    command += ["--certs-dir", str(home / "certs"), "--quiet"]
    with (home / "minio.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield Outside(f"https://{address}:{port}", authority)
    finally:
        process.terminate()
        process.wait(timeout=10)


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
    async with running_service(instance.state_dir, instance.serve, **instance.settings) as service:
        product = Product(instance, service)
        await product.settled()
        await add_workload(product, claim=False)
        write(await directory(product, "files") / "large", 5 * MEBIBYTE)
        files = checksums(await directory(product, "files"))
        backup = (await product.back_up(include_volumes=True))["result"]["backup"]
    inside = product.bucket / "velero" / "backups" / backup
    kept = sorted(path.name for path in inside.iterdir())
    with running_minio(tmp_path, instance.slot.host_address) as outside:
        await eventually(outside.has_bucket)
        settings = {**instance.settings, **outside.settings}
        async with running_service(instance.state_dir, instance.serve, **settings) as service:
            product = Product(instance, service)
            job = await service.run(f"/instances/{NAME}/move-storage")
            assert job["status"] == "succeeded", job["error"]
            assert (job["result"]["moved"], job["warnings"]) == ([backup], [])
            assert await outside.location(product) == (outside.url, "external-store-credentials")
            moved = {key.rpartition("/")[2] for key in await outside.keys()}
            assert sorted(moved) == kept == sorted(path.name for path in inside.iterdir())
            await product.recreate()
            job = await product.start()
            assert (job["result"]["action"], job["result"]["backup"]) == ("restore", backup), job["error"]
            assert job["result"]["restored"]["comparison"]["missing"] == []
            assert checksums(await directory(product, "files")) == files
            stopped = (await product.stop(include_volumes=True))["result"]
            assert stopped["proof"]["volumes_uploaded_bytes"] == 0, "the repository is the one that was moved"
            newer = stopped["backup"]
            # By its files: the address went with the machine's power.
            stored = tmp_path / "data" / BUCKET / PREFIX / NAME / "backups" / newer
            assert (stored / "velero-backup.json").exists()
            assert not (inside.parent / newer).exists()
