"""Encryption at rest where it cannot be had, and a key that is not there any more: said before anything is touched."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import NotSupported
from app.host.config import ExternalRecord, Policy
from app.settings import Settings, StackSettings
from app.workflows.encryption import refuse_outside
from app.workflows.policies import decide, refuse_in_sandbox
from tests.instances import NAME
from tests.product import Product, sandbox_product

AT_REST = StackSettings(encryption="at-rest")


def test_the_sandbox_does_not_begin_with_what_it_cannot_do() -> None:
    """Its store is SeaweedFS; nobody is to believe that it encrypts."""
    with pytest.raises(ValidationError, match="SeaweedFS"):
        Settings(driver="sandbox", stack=AT_REST)
    assert Settings(driver="k3d", stack=AT_REST).stack.encryption == "at-rest"


def test_a_policy_that_asks_the_sandbox_for_it_is_refused() -> None:
    """It may have come with an instance from elsewhere."""
    policy, sandbox = Policy(encryption="at-rest"), Settings(driver="sandbox")
    with pytest.raises(NotSupported, match="SeaweedFS"):
        refuse_in_sandbox(sandbox, decide(sandbox, policy).rules)
    refuse_in_sandbox(Settings(driver="k3d"), decide(sandbox, policy).rules)


def test_a_store_that_others_run_is_not_encrypted_from_here() -> None:
    """Neither used nor moved to while the rules ask for it: it would only seem to be."""
    place = ExternalRecord(endpoint="https://s3.example.com", bucket="backups", prefix="shop")
    with pytest.raises(NotSupported, match=r"s3\.example\.com/backups/shop"):
        refuse_outside(decide(Settings(stack=AT_REST), Policy()).rules, place)
    refuse_outside(decide(Settings(), Policy()).rules, place)


def lose_key(product: Product) -> None:
    """The record of an instance whose backups were encrypted with a key that is gone."""
    record = json.loads(product.record.read_text())
    lost = {"key_id": "kecs-lost", "fingerprint": "0123456789abcdef", "whole": True}
    product.record.write_text(json.dumps(record | {"encryption": lost}))


async def test_a_lost_key_stops_everything_that_would_need_it(tmp_path: Path) -> None:
    """Stop, preflight and start name the key; nothing is woken or powered, and there is a way on without it."""
    async with sandbox_product(tmp_path) as product:
        assert (await product.stop())["status"] == "succeeded"
        lose_key(product)
        job = await product.start()
        assert (job["status"], job["error"]["code"]) == ("failed", "encryption-key-unusable")
        assert (job["error"]["key_id"], product.state()) == ("kecs-lost", "stopped")
        assert (await product.start(mode="never"))["status"] == "succeeded"
        stopping = await product.stop()
        assert (stopping["error"]["code"], product.state()) == ("encryption-key-unusable", "running")
        assert "wake-stack" not in await product.steps(stopping)
        found = (await product.service.client.get(f"/instances/{NAME}/preflight")).json()
        assert not found["would_stop"]
        assert [check["code"] for check in found["checks"] if check["name"] == "encryption"] == [
            "encryption-key-unusable"
        ]
