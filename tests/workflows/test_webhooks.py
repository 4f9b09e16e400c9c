"""Admission webhooks in the way of a stop or a start, in every world."""

import json
from typing import Any

import pytest

from app.kubernetes.resources import PODS, VALIDATING_WEBHOOKS
from tests.product import Product

pytestmark = pytest.mark.whatever_driver

EVERYTHING = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["CREATE"], "resources": ["*"]}
#: A selector of namespaces alone lets no cluster-scoped object pass.
NAMESPACED = [EVERYTHING | {"scope": "Namespaced"}]
SHOP = {"matchLabels": {"kecs.dev/cluster": "shop"}}


def rejecting(name: str, **webhook: Any) -> dict[str, Any]:
    """A configuration that fails closed, whose Service nobody answers for."""
    answering = {"service": {"name": "web", "namespace": "shop-us-east-1", "path": "/validate"}}
    common = {"admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 1}
    return {
        "metadata": {"name": name},
        "webhooks": [
            common | {"name": f"{name}.example.com", "clientConfig": answering, "rules": [EVERYTHING]} | webhook
        ],
    }


async def add(product: Product, configuration: dict[str, Any]) -> None:
    """As somebody's operator would."""
    async with product.kube() as kube:
        await kube.create(VALIDATING_WEBHOOKS, configuration)


async def test_a_webhook_that_rejects_everything_is_named_before_anything_is_touched(product: Product) -> None:
    """The stop could not be backed up, so it does not begin; nothing of the stack was made."""
    await add(product, rejecting("rejects-all"))
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "webhook-rejects-backups")
    assert "rejects-all.example.com" in json.dumps(job["error"])
    assert product.state() == "running"
    assert "velero" not in await product.namespaces()


async def test_a_webhook_that_lets_the_namespace_pass_is_named_by_what_it_rejects(product: Product) -> None:
    """Some are met only while the stack is installed."""
    await add(product, rejecting("no-roles", rules=[EVERYTHING | {"apiGroups": ["rbac.authorization.k8s.io"]}]))
    job = await product.stop()
    assert (job["status"], job["error"]["code"]) == ("failed", "webhook-rejects-backups")
    assert job["error"]["webhook"] == "no-roles.example.com"
    assert product.state() == "running"


@pytest.mark.seldom_on_real
async def test_a_rejecting_webhook_in_the_backup_is_restored_after_what_it_would_reject(product: Product) -> None:
    """Its own workloads first, or nothing could be created in that namespace any more."""
    await add(product, rejecting("shop-only", namespaceSelector=SHOP, rules=NAMESPACED))
    stopped = await product.stop()
    assert stopped["status"] == "succeeded", stopped["error"]
    await product.recreate()
    job = await product.start()
    assert (job["status"], job["warnings"]) == ("succeeded", [])
    comparison = job["result"]["restored"]["comparison"]
    assert (comparison["missing"], comparison["differing"]) == ([], [])
    async with product.kube() as kube:
        webhook = await kube.get(VALIDATING_WEBHOOKS, "shop-only")
        pods = (await kube.list(PODS, "shop-us-east-1", label_selector="app=web")).items
    born = max(pod["metadata"]["creationTimestamp"] for pod in pods)
    assert len(pods) == 2
    assert born <= webhook["metadata"]["creationTimestamp"]
