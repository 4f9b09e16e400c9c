"""A real API server process for each module, Velero's types installed, and nobody who runs what is posted."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NAMESPACES
from app.ports import ClusterAccess
from app.settings import StackSettings
from app.velero.client import VeleroClient
from app.velero.models import ALL_TYPES
from app.velero.stack.crds import apply_definitions, warm_up
from app.velero.stack.manifests import namespace_manifest
from tests.sandbox.api_server import RunningApi, running_api


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningApi]:
    """An API server without a kubelet."""
    async with running_api(tmp_path_factory.mktemp("api")) as running:
        yield running


@pytest.fixture
async def kube(api: RunningApi) -> AsyncIterator[KubeClient]:
    """A client of that server."""
    async with await KubeClient.connect(ClusterAccess(api.kubeconfig)) as client:
        yield client


def definitions() -> list[dict[str, Any]]:
    """Minimal CRDs of Velero's types: any content, status as part of the object."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    return [
        {
            "apiVersion": "apiextensions.k8s.io/v1",
            "kind": "CustomResourceDefinition",
            "metadata": {"name": resource.group_resource, "labels": {"component": "velero"}},
            "spec": {
                "group": resource.group,
                "scope": "Namespaced",
                "names": {"plural": resource.plural, "kind": resource.kind, "singular": resource.kind.lower()},
                "versions": [{"name": resource.version, "served": True, "storage": True, "schema": schema}],
            },
        }
        for resource in ALL_TYPES
    ]


@pytest.fixture
async def velero(kube: KubeClient) -> VeleroClient:
    """Velero's custom resources; nobody acts on them but the test."""
    await kube.apply(NAMESPACES, namespace_manifest(StackSettings()))
    await apply_definitions(kube, definitions())
    await warm_up(kube, "velero")
    return VeleroClient(kube, idle_seconds=0.2)
