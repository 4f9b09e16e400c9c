"""A workload with volumes, and its files as they lie on the node."""

import hashlib
import os
from pathlib import Path
from typing import Any

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import DEPLOYMENTS, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from tests.product import Product
from tests.real.images import BUSYBOX
from tests.real.slot import NODE, NODE_PATH
from tests.waiting import eventually

NAMESPACE = "shop-us-east-1"
NAME = "vault"
MEBIBYTE = 1024 * 1024


async def add_workload(product: Product, *, claim: bool = False) -> None:
    """A Deployment of one pod with an emptyDir and, where claims can be had, a claim; returns when it runs."""
    volumes: list[dict[str, Any]] = [{"name": "files", "emptyDir": {}}]
    if claim:
        volumes.append({"name": "table", "persistentVolumeClaim": {"claimName": NAME}})
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    container = {"name": "vault", "image": BUSYBOX, "command": ["sleep", "86400"], "volumeMounts": mounts}
    template = {
        "metadata": {"labels": {"app": NAME}},
        "spec": {"containers": [container], "volumes": volumes, "terminationGracePeriodSeconds": 0},
    }
    deployment = {
        "metadata": {"name": NAME, "namespace": NAMESPACE},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": NAME}}, "template": template},
    }
    async with product.kube() as kube:
        if claim:
            await add_local_volume(product, kube, "first")
            await kube.create(PERSISTENT_VOLUME_CLAIMS, _claim(), NAMESPACE)
        await kube.create(DEPLOYMENTS, deployment, NAMESPACE)

        async def runs() -> bool:
            return (await pod(kube)).get("status", {}).get("phase") == "Running"

        await eventually(runs)


def _claim() -> dict[str, Any]:
    spec = {
        "accessModes": ["ReadWriteOnce"], "storageClassName": "by-hand", "resources": {"requests": {"storage": "1Gi"}},
    }  # fmt: skip
    return {"metadata": {"name": NAME, "namespace": NAMESPACE}, "spec": spec}


async def add_local_volume(product: Product, kube: KubeClient, name: str) -> None:
    """A directory of a real node as a PersistentVolume, as k3s's own provisioner makes them; ``name`` names both."""
    (product.bucket.parent / name).mkdir(parents=True)
    term = {"key": "kubernetes.io/hostname", "operator": "In", "values": [NODE]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Delete",
        "storageClassName": "by-hand",
        "local": {"path": f"{NODE_PATH}/{name}"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [term]}]}},
    }
    await kube.create(PERSISTENT_VOLUMES, {"metadata": {"name": name}, "spec": spec})


async def pod(kube: KubeClient) -> dict[str, Any]:
    """The workload's pod; nothing before there is one."""
    found = (await kube.list(PODS, NAMESPACE, label_selector=f"app={NAME}")).items
    return found[0] if found else {}


async def directory(product: Product, volume: str = "files") -> Path:
    """Where the node keeps a volume of the workload."""
    async with product.kube() as kube:
        uid = (await pod(kube))["metadata"]["uid"]
    return product.instance.volume_directory(uid, volume)


def write(path: Path, size: int) -> None:
    """A file that cannot be made smaller."""
    path.write_bytes(os.urandom(size))


def checksums(path: Path) -> dict[str, str]:
    """Of every file, without what Velero leaves where it has restored."""
    return {
        str(file.relative_to(path)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(path.rglob("*"))
        if file.is_file() and ".velero" not in file.parts
    }
