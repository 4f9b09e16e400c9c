"""Least privilege and encryption at rest on real components: nothing of either can be seen on a double."""

import base64
import contextlib
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.resources import CLUSTER_ROLE_BINDINGS, CLUSTER_ROLES, ROLES, SECRETS
from tests.product import Product, running_product
from tests.real.available import need_real_clusters
from tests.real.instance import RealInstance
from tests.waiting import eventually

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


#: A role that grants more than Velero may do itself, and KECS's bindings to a role that is not in the seed.
BEYOND = [
    *(
        f"rolebindings.rbac.authorization.k8s.io kecs-system/kecs-secret-reader-{team}-us-east-1"
        for team in ("billing", "media", "shop")
    ),
    "roles.rbac.authorization.k8s.io default/cleaners",
]


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
        restored = started["result"]["restored"]
        assert sorted(restored["comparison"]["missing"]) == BEYOND
        assert restored["comparison"]["differing"] == []
        (refused,) = [warning for warning in started["warnings"] if warning["code"] == "restore-forbidden"]
        assert refused["objects"] == BEYOND
        assert started["result"]["restore_outstanding"] == stopped["backup"]
        await may_write_nothing_any_more(product)


async def may_write_nothing_any_more(product: Product) -> None:
    """The stack sleeps, and its account is back to reading."""

    async def taken_back() -> bool:
        async with product.kube() as kube:
            return not (await kube.get(CLUSTER_ROLES, "velero-restores")).get("rules")

    await eventually(taken_back)
    async with product.kube() as kube:
        assert await kube.find(CLUSTER_ROLE_BINDINGS, "velero") is None


KNOWN = "correct-horse-battery-staple-of-this-test"


async def add_known_secret(product: Product) -> None:
    """A Secret whose value is looked for, as the API server tells it: in base64."""
    async with product.kube() as kube:
        await kube.create(SECRETS, {"metadata": {"name": "known"}, "stringData": {"value": KNOWN}}, "default")


def found_on_host(product: Product) -> set[str]:
    """Files of the host's directory that hold the value, in clear or base64, packed or not; by kind."""
    forms = KNOWN.encode(), base64.b64encode(KNOWN.encode())
    found = set()
    for path in product.bucket.rglob("*"):
        if path.is_file() and any(form in text for form in forms for text in readings(path.read_bytes())):
            found.add(str(path.relative_to(product.bucket)))
    return found


def readings(content: bytes) -> Iterator[bytes]:
    """A file's bytes, and what every gzip stream in it unpacks to."""
    yield content
    at = content.find(b"\x1f\x8b\x08")
    while at >= 0:
        with contextlib.suppress(zlib.error):
            yield zlib.decompressobj(wbits=31).decompress(content[at:])
        at = content.find(b"\x1f\x8b\x08", at + 1)


async def test_a_known_secret_lies_in_clear_until_encryption_at_rest_is_wanted(tmp_path: Path) -> None:
    """What lay there before is encrypted too, restores as before, and a lost key is known before anything is woken."""
    instance = RealInstance(tmp_path)
    async with running_product(instance) as product:
        await add_known_secret(product)
        older = (await product.back_up())["result"]["backup"]
        assert found_on_host(product), "not encrypted, so it must be found"
        record = json.loads(product.record.read_text())
        product.record.write_text(json.dumps(record | {"policy": {"encryption": "at-rest"}}))
        stopped = await product.stop()
        assert stopped["status"] == "succeeded", stopped["error"]
        assert found_on_host(product) == set()
        key = (product.record.parent / "velero-config" / "encryption-key").read_text().strip()
        assert key.partition(":")[2].encode() not in b"".join(map(Path.read_bytes, files(product.bucket)))
        await refused_without_key(product)
        await product.recreate()
        started = await product.start(backup_id=older)
        assert started["status"] == "succeeded", started["error"]
        assert started["result"]["restored"]["comparison"]["missing"] == []
        assert (await product.back_up())["result"]["proof"]["canary"] == "found"


def files(directory: Path) -> list[Path]:
    """Every file below."""
    return [path for path in directory.rglob("*") if path.is_file()]


async def refused_without_key(product: Product) -> None:
    """The cluster stays off; with the key back all is well again."""
    path = product.record.parent / "velero-config" / "encryption-key"
    key_id = path.read_text().partition(":")[0]
    aside = path.rename(path.with_name("aside"))
    job = await product.start()
    assert (job["status"], job["error"]["code"]) == ("failed", "encryption-key-unusable"), job["error"]
    assert key_id in job["error"]["detail"]
    assert product.state() == "stopped"
    aside.rename(path)
