"""The emulator as a process, between the sandbox's real API server and a real S3 server, both on loopback."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from app.sandbox.apiclient import ApiError, KubernetesApi, ResourceType
from app.sandbox.objects import Object, phase_of
from app.sandbox.objectstore import MEMORY_LIMIT
from app.sandbox.ports import free_port
from app.sandbox.velero import kinds
from app.sandbox.velero.bucket import Bucket, Buckets, Endpoints, Keys

NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", namespaced=False)
CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap", namespaced=True)
SECRETS = ResourceType("", "v1", "secrets", "Secret", namespaced=True)
SERVICES = ResourceType("", "v1", "services", "Service", namespaced=True)
SERVICE_ACCOUNTS = ResourceType("", "v1", "serviceaccounts", "ServiceAccount", namespaced=True)
EVENTS = ResourceType("", "v1", "events", "Event", namespaced=True)
PODS = ResourceType("", "v1", "pods", "Pod", namespaced=True)
DEPLOYMENTS = ResourceType("apps", "v1", "deployments", "Deployment", namespaced=True)
CRDS = ResourceType("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", False)
CLUSTER_ROLES = ResourceType("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", False)
KEYS = Keys("sandbox", "sandbox-secret")
TERMINAL = {"Completed", "PartiallyFailed", "Failed", "FailedValidation"}
_numbers = count(1)


def stop_process(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
    process.wait(timeout=10)


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """SeaweedFS, bound to loopback, without automatic buckets."""
    directory = tmp_path_factory.mktemp("s3")
    identity = {
        "name": "sandbox",
        "credentials": [{"accessKey": KEYS.access, "secretKey": KEYS.secret}],
        "actions": ["Admin", "Read", "Write", "List"],
    }
    (directory / "ids.json").write_text(json.dumps({"identities": [identity]}))
    ports = {name: free_port() for name in ("s3", "master", "volume", "filer")}
    command = [
        str(Path(sys.executable).parent / "weed"), "mini", f"-dir={directory}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        "-s3.config=ids.json", "-s3.autoCreateBucket=false", "-s3.iam=false", "-s3.port.iceberg=0",
        "-s3.port.lance=0", "-webdav=false", "-admin.ui=false",
        *(f"-{name}.port={port}" for name, port in ports.items()),
        *(f"-{name}.port.grpc={free_port()}" for name in ("master", "volume", "filer")),
    ]  # fmt: skip
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=directory, stdout=log, stderr=log, env=os.environ | {"GOMEMLIMIT": MEMORY_LIMIT}
        )
    try:
        yield _wait_for_http(f"http://127.0.0.1:{ports['s3']}", directory / "log")
    finally:
        stop_process(process)


def _wait_for_http(url: str, log: Path) -> str:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - a loopback address of our own
        except urllib.error.HTTPError as answer:
            answer.close()
            return url
        except OSError:
            time.sleep(0.05)
        else:
            return url
    raise AssertionError(log.read_text()[-2000:])


@pytest.fixture(scope="session")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The sandbox's API server with Velero's kinds in it."""
    directory = tmp_path_factory.mktemp("api")
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "app.sandbox.kubeapi",
                "--directory",
                str(directory),
                "--port",
                str(free_port()),
            ],
            stdout=log,
            stderr=log,
        )
    try:
        asyncio.run(_install_kinds(directory / "kubeconfig"))
        yield directory / "kubeconfig"
    finally:
        stop_process(process)


async def _install_kinds(kubeconfig: Path) -> None:
    async with asyncio.timeout(20):
        while True:
            try:
                async with KubernetesApi.from_kubeconfig(kubeconfig) as api:
                    await api.request("GET", "/version")
                    for definition in kinds.custom_resource_definitions()["items"]:
                        await api.create(CRDS, definition)
                    return
            except (OSError, ApiError):  # not listening yet
                await asyncio.sleep(0.05)


@dataclass
class Velero:
    """One Velero namespace with its location, its bucket and its server process."""

    api: KubernetesApi
    kubeconfig: Path
    directory: Path
    s3: Bucket
    s3_url: str
    namespace: str
    workload: str
    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> str:
        return (self.directory / "log").read_text()

    async def start(self, *flags: str) -> None:
        """Up to the first validation of the location."""
        await self.launch(*flags)
        await self.until(kinds.BACKUP_STORAGE_LOCATIONS, "default", lambda it: phase_of(it) == "Available")

    async def launch(self, *flags: str) -> None:
        environment = os.environ | {
            "KECS_SANDBOX_KUBECONFIG": str(self.kubeconfig),
            "KECS_SANDBOX_ENDPOINTS": str(self.directory / "endpoints.json"),
            "KECS_SANDBOX_FAULTS": str(self.directory / "faults.json"),
            "KECS_SANDBOX_MOUNTS": json.dumps({"/credentials": str(self.directory)}),
            "AWS_SHARED_CREDENTIALS_FILE": "/credentials/cloud",
            "VELERO_NAMESPACE": self.namespace,
        }
        with (self.directory / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "app.sandbox.velero", "server", *flags, env=environment, stdout=log, stderr=log
            )

    async def stop(self, how: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    def switch(self, **faults: Any) -> None:
        (self.directory / "faults.json").write_text(json.dumps({"velero": faults}))

    async def until(self, kind: ResourceType, name: str, holds: Callable[[Object], bool]) -> Object:
        """The object as soon as it satisfies ``holds``."""
        found: Object | None = None
        try:
            async with asyncio.timeout(20):
                while found is None or not holds(found):
                    await asyncio.sleep(0.01)
                    found = await self.api.find(kind, name, self.namespace)
        except TimeoutError:
            raise AssertionError(f"{found}\n{self.log}") from None
        return found

    async def until_gone(self, kind: ResourceType, name: str) -> None:
        async with asyncio.timeout(20):
            while True:
                if await self.api.find(kind, name, self.namespace) is None:
                    return
                await asyncio.sleep(0.01)

    async def create(self, kind: ResourceType, name: str, **content: Any) -> Object:
        """One of Velero's objects, in Velero's namespace."""
        return await self.api.create(kind, manifest(kind, name, **content), self.namespace)

    async def backup(self, name: str, **spec: Any) -> Object:
        """Posted and awaited; of the test's own workload unless ``spec`` says otherwise."""
        await self.create(kinds.BACKUPS, name, spec={"includedNamespaces": [self.workload], **spec})
        return await self.until(kinds.BACKUPS, name, lambda it: phase_of(it) in TERMINAL)

    async def restore(self, name: str, backup: str, **spec: Any) -> Object:
        await self.create(kinds.RESTORES, name, spec={"backupName": backup, **spec})
        return await self.until(kinds.RESTORES, name, lambda it: phase_of(it) in TERMINAL)

    async def add(self, kind: ResourceType, name: str, **content: Any) -> Object:
        """One of the workload's objects."""
        return await self.api.create(kind, manifest(kind, name, **content), self.workload)

    async def wipe(self) -> None:
        """The workload's namespace goes with everything in it."""
        await self.api.delete(NAMESPACES, self.workload)
        async with asyncio.timeout(20):
            while True:
                if await self.api.find(NAMESPACES, self.workload) is None:
                    return
                await asyncio.sleep(0.01)


def manifest(kind: ResourceType, name: str, **content: Any) -> Object:
    metadata = {"name": name, **content.pop("metadata", {})}
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, **content}


def location(s3_url: str, bucket: str, **spec: Any) -> Object:
    return {
        "provider": "aws",
        "default": True,
        "objectStorage": {"bucket": bucket},
        "config": {"region": "minio", "s3ForcePathStyle": "true", "s3Url": s3_url, "checksumAlgorithm": ""},
        "validationFrequency": "5s",
        **spec,
    }


@pytest.fixture
async def velero(kubeconfig: Path, s3_url: str, tmp_path: Path) -> AsyncIterator[Velero]:
    """Everything the server needs is there; a test starts it itself. Service name and mount are those of a cluster."""
    number = next(_numbers)
    namespace, workload, bucket_name = f"velero-{number}", f"shop-{number}", f"bucket-{number}"
    (tmp_path / "cloud").write_text(
        f"[default]\naws_access_key_id={KEYS.access}\naws_secret_access_key={KEYS.secret}\n"
    )
    (tmp_path / "endpoints.json").write_text(json.dumps({"minio.velero.svc:9000": s3_url.removeprefix("http://")}))
    async with KubernetesApi.from_kubeconfig(kubeconfig) as api, Buckets(Endpoints(None)) as buckets:
        bucket = await buckets.open({"spec": location(s3_url, bucket_name)}, KEYS)
        await bucket._client.create_bucket(Bucket=bucket_name)
        server = Velero(api, kubeconfig, tmp_path, bucket, s3_url, namespace, workload)
        for name in (namespace, workload):
            await api.create(NAMESPACES, manifest(NAMESPACES, name))
        template = {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i.invalid/x"}]}}
        deployment = {"replicas": 0, "selector": {"matchLabels": {"a": "b"}}, "template": template}
        await server.create(DEPLOYMENTS, "velero", spec=deployment)
        await server.create(
            kinds.BACKUP_STORAGE_LOCATIONS, "default", spec=location("http://minio.velero.svc:9000", bucket_name)
        )
        yield server
        if server.process is not None:
            await server.stop()
        # SeaweedFS counts the volumes of every bucket against the disk: a GB each, and on 46 GB the 59th got none.
        await bucket._client.delete_bucket(Bucket=bucket_name)
