"""ADR-0025 line by line, on one instance that was backed up, stopped, made anew and started.

docs/adr-0025.md says of every line where it is built, which test shows it, and where and why this project deviates.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.kubernetes.resources import (
    CLUSTER_ROLE_BINDINGS,
    DEPLOYMENTS,
    SECRETS,
    SERVICE_ACCOUNTS,
    SERVICES,
    STATEFUL_SETS,
    Resource,
)
from app.velero.models import BACKUP_STORAGE_LOCATIONS
from tests.instances import NAME
from tests.product import Product, sandbox_product

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(240)]


@dataclass
class Story:
    """What the instance went through, and what was to be seen of it on the way."""

    product: Product
    earlier: dict[str, Any]
    stop: dict[str, Any]
    start: dict[str, Any]
    state_when_stopped: str

    @property
    def directory(self) -> Path:
        """The instance's directory on the host."""
        return self.product.state_dir / "instances" / NAME

    async def get(self, path: str) -> Any:
        """The JSON answer of the service."""
        return (await self.product.service.client.get(path)).json()

    async def text(self, path: str) -> str:
        """The answer as text."""
        return (await self.product.service.client.get(path)).text

    async def object(self, resource: Resource, name: str) -> dict[str, Any]:
        """One object of the stack in the cluster."""
        async with self.product.kube() as kube:
            return await kube.get(resource, name, "velero" if resource.namespaced else None)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def story(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Story]:
    """Two backups, the second by a stop; then the cluster is lost, and started; the stack is awake at the end."""
    async with sandbox_product(Path(tmp_path_factory.mktemp("adr"))) as product:
        earlier = await product.back_up()
        await product.add_config_map("made-after-the-first-backup")
        stop = await product.stop()
        state = product.state()
        await product.recreate()
        start = await product.start()
        await product.service.run(f"/instances/{NAME}/stack/wake")
        yield Story(product, earlier, stop, start, state)


# Storage Architecture


async def test_storage_architecture_minio_data_is_persisted_on_the_host(story: Story) -> None:
    """At the ADR's path, a link: KECS mounts only the directory ``data``."""
    data = story.directory / "minio-data"
    assert data.resolve() == story.directory / "data" / "minio-data"
    assert sum(path.stat().st_size for path in data.resolve().rglob("*") if path.is_file()) > 10_000


async def test_storage_architecture_configuration_lies_beside_it(story: Story) -> None:
    """``velero-config/`` and ``config.json``, readable by nobody else."""
    for name in ("velero-config/credentials", "velero-config/backup-location.yaml", "config.json"):
        assert (story.directory / name).stat().st_mode & 0o077 == 0, name


# Consequences


async def test_comprehensive_backup_holds_config_maps_and_secrets(story: Story) -> None:
    """And the services that run of them."""
    contents = await story.get(f"/instances/{NAME}/backups/{story.stop['result']['backup']}/contents")
    assert {"v1/ConfigMap", "v1/Secret", "apps/v1/Deployment", "v1/Pod"} <= contents.keys()


# MinIO Deployment


async def test_minio_is_a_single_replica_stateful_set(story: Story) -> None:
    """While it is awake; between jobs it has none."""
    found = await story.object(STATEFUL_SETS, "minio")
    assert found["spec"]["replicas"] == 1
    volumes = {volume["name"]: volume for volume in found["spec"]["template"]["spec"]["volumes"]}
    volume = volumes["data"]
    assert volume["hostPath"]["path"].endswith(f"{NAME}/data/minio-data")
    assert volume["hostPath"]["type"] == "DirectoryOrCreate"


async def test_minio_takes_its_credentials_from_the_secret(story: Story) -> None:
    """Of the ADR's name; the variables have the names that MinIO has not deprecated."""
    found = await story.object(STATEFUL_SETS, "minio")
    (container,) = found["spec"]["template"]["spec"]["containers"]
    sources = {each["name"]: each.get("valueFrom", {}).get("secretKeyRef", {}).get("name") for each in container["env"]}
    assert sources["MINIO_ROOT_USER"] == sources["MINIO_ROOT_PASSWORD"] == "minio-credentials"


# Velero Configuration


async def test_the_backup_storage_location_is_the_adrs(story: Story) -> None:
    """Word by word, and what MinIO needs beyond it."""
    spec = (await story.object(BACKUP_STORAGE_LOCATIONS, "default"))["spec"]
    assert (spec["provider"], spec["objectStorage"]["bucket"]) == ("aws", "velero")
    wanted = {"region": "minio", "s3ForcePathStyle": "true", "s3Url": "http://minio.velero.svc:9000"}
    assert wanted.items() <= spec["config"].items()


# Backup Strategy


async def test_on_stop_a_full_backup_of_all_namespaces_but_the_systems(story: Story) -> None:
    """Told by the archive's own list."""
    backup = await story.get(f"/instances/{NAME}/backups/{story.stop['result']['backup']}")
    contents = await story.get(f"/instances/{NAME}/backups/{backup['id']}/contents")
    namespaces = set(contents["v1/Namespace"])
    assert backup["scope"] == "full"
    assert {"default", "internal"} <= namespaces
    assert not {"kube-public", "kube-node-lease", "velero"} & namespaces


async def test_backup_naming(story: Story) -> None:
    """``stop-backup-{instance-name}-{timestamp}``."""
    assert re.fullmatch(rf"stop-backup-{NAME}-\d{{14}}", story.stop["result"]["backup"])


async def test_retention_keeps_the_last_five(story: Story) -> None:
    """Unless somebody decides otherwise."""
    view = await story.get(f"/instances/{NAME}/policy")
    assert (view["effective"]["keep_last"], view["sources"]["keep_last"]) == (5, "setting")


async def test_validation_comes_before_the_cluster_is_stopped(story: Story) -> None:
    """The proof ends before the power-off begins."""
    events = await story.get(f"/jobs/{story.stop['id']}/events")
    order = [(event["type"], event["data"].get("step")) for event in events]
    assert order.index(("step.succeeded", "prove-backup")) < order.index(("step.started", "power-off"))
    assert (story.stop["result"]["proof"]["verdict"], story.state_when_stopped) == ("proven", "stopped")


# Restore Strategy


async def test_on_start_the_most_recent_successful_backup_is_restored(story: Story) -> None:
    """Not the one before it."""
    assert story.earlier["result"]["backup"] < story.stop["result"]["backup"].removeprefix("stop-")
    assert story.start["result"]["backup"] == story.stop["result"]["backup"]
    assert await story.product.has_config_map("made-after-the-first-backup")


async def test_lost_ecs_resources_are_restored_properly(story: Story) -> None:
    """Every object of the backup is there, with the content it had."""
    comparison = story.start["result"]["restored"]["comparison"]
    assert (comparison["missing"], comparison["differing"]) == ([], [])
    assert comparison["compared"] > 50


# Monitoring and Metrics


@pytest.mark.parametrize(
    "metric",
    [
        'kecs_state_backup_total{result="proven"} 2.0',
        'kecs_state_backup_total{result="failed"} 0.0',
        'kecs_state_restore_total{result="succeeded"} 1.0',
        'kecs_state_restore_total{result="failed"} 0.0',
        "kecs_state_backup_duration_seconds_count 2.0",
        "kecs_state_stop_duration_seconds_count 1.0",
        "kecs_state_start_duration_seconds_count 1.0",
    ],
)
async def test_monitoring_rates_and_durations(story: Story, metric: str) -> None:
    """Success and failure of backups and restores, and how long each took."""
    assert metric in (await story.text("/metrics")).splitlines()


async def test_monitoring_sizes(story: Story) -> None:
    """Of the newest backup, and of all that are kept."""
    rows = await story.product.backups()
    total = sum(row["size_bytes"] for row in rows)
    lines = (await story.text("/metrics")).splitlines()
    stored = {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if not line.startswith("#")}
    assert stored[f'kecs_state_storage_bytes{{instance="{NAME}"}}'] == total
    assert 0 < stored[f'kecs_state_backup_size_bytes{{instance="{NAME}"}}'] < total


# Security Considerations


async def test_minio_credentials_are_generated_and_stored_securely(story: Story) -> None:
    """The key that MinIO has is the host's, and no setting's."""
    secret = await story.object(SECRETS, "minio-credentials")
    kept = (story.directory / "velero-config" / "credentials").read_text()
    assert secret["data"]
    assert not {"minioadmin", "minio123"} & set(re.findall(r"\S+", kept))


async def test_network_isolation_minio_is_reached_within_the_cluster(story: Story) -> None:
    """No port of the node leads to it."""
    spec = (await story.object(SERVICES, "minio"))["spec"]
    assert spec.get("type", "ClusterIP") == "ClusterIP"
    assert all("nodePort" not in port for port in spec["ports"])


async def test_access_control_velero_has_an_account_of_its_own(story: Story) -> None:
    """And its pod uses it."""
    account = await story.object(SERVICE_ACCOUNTS, "velero")
    pod = (await story.object(DEPLOYMENTS, "velero"))["spec"]["template"]["spec"]
    assert pod["serviceAccountName"] == account["metadata"]["name"]
    async with story.product.kube() as kube:
        bindings = (await kube.list(CLUSTER_ROLE_BINDINGS)).items
    subjects = [subject for binding in bindings for subject in binding.get("subjects") or []]
    assert {"kind": "ServiceAccount", "name": "velero", "namespace": "velero"}.items() <= next(
        subject.items() for subject in subjects if subject["name"] == "velero"
    )
