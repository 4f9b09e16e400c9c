"""Least privilege and encryption at rest on real components: nothing of either can be seen on a double."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import CLUSTER_ROLE_BINDINGS, ROLES
from tests.instances import NAME
from tests.product import Product, running_product
from tests.real.available import need_real_clusters
from tests.real.instance import RealInstance

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


@pytest.fixture(autouse=True)
def _real() -> None:
    need_real_clusters()


def role(name: str, verb: str) -> dict[str, Any]:
    """Of a user's: one right on ConfigMaps."""
    return {"metadata": {"name": name}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": [verb]}]}


async def add_roles(product: Product) -> None:
    """One that grants what Velero's account has itself, one that grants more."""
    async with product.kube() as kube:
        for made in (role("readers", "get"), role("cleaners", "delete")):
            await kube.create(ROLES, made, "default")


async def test_with_least_privilege_everything_comes_back_but_roles_beyond_it(tmp_path: Path) -> None:
    """What the API server refuses is named; the restore stays due."""
    async with running_product(RealInstance(tmp_path), STACK__RBAC="least-privilege") as product:
        await product.instance.seed_custom_resources()
        await product.settled()
        await add_roles(product)
        stopped = await product.stop()
        assert stopped["status"] == "succeeded", stopped["error"]
        assert stopped["result"]["protected"]
        await product.recreate()
        started = await product.start()
        print(json.dumps(started, indent=1))
        comparison = started["result"]["restored"]["comparison"]
        assert comparison["missing"] == ["roles.rbac.authorization.k8s.io default/cleaners"]
