"""What each field of a policy does to an instance; one instance for all of them, left running by each test."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.instances import NAME
from tests.product import Product, sandbox_product
from tests.waiting import eventually

pytestmark = pytest.mark.asyncio(loop_scope="module")
PATH = f"/instances/{NAME}/policy"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Product]:
    """A seeded instance."""
    async with sandbox_product(Path(tmp_path_factory.mktemp("policies"))) as product:
        yield product


@pytest.fixture
def product(shared: Product) -> Product:
    """The instance without any fault of the test before."""
    shared.faults()
    return shared


async def decide(product: Product, **policy: Any) -> None:
    """The whole policy of the instance."""
    response = await product.service.client.put(PATH, json=policy)
    assert response.status_code == 200, response.text


async def statuses(product: Product) -> dict[str, str]:
    """What the backups count as."""
    return {row["id"]: row["status"] for row in await product.backups()}


async def sleeps(product: Product) -> bool:
    """Whether it has none."""
    return await product.velero_replicas() == 0


async def test_keep_last(product: Product) -> None:
    """The newest one only, whatever the service keeps of others."""
    await decide(product, keep_last=1)
    first = (await product.back_up())["result"]["backup"]
    second = (await product.back_up())["result"]
    assert (second["pruned"], list(await statuses(product))) == ([first], [second["backup"]])


async def test_exclude_namespaces(product: Product) -> None:
    """Full all the same, since it is the user's standing decision; what is left out is said each time."""
    await decide(product, exclude_namespaces=["inter*"])
    view = (await product.service.client.get(f"/instances/{NAME}/preflight")).json()
    job = await product.back_up()
    for not_saved in (view["not_saved"], job["result"]["not_saved"]):
        reasons = {entry["name"]: entry["reason"] for entry in not_saved if entry["kind"] == "namespace"}
        assert "policy" in reasons["internal"]
    assert (job["result"]["scope"], job["result"]["proof"]["verdict"]) == ("full", "proven")
    contents = f"/instances/{NAME}/backups/{job['result']['backup']}/contents"
    assert "internal/" not in (await product.service.client.get(contents)).text


async def test_a_request_that_names_an_excluded_namespace_gets_it(product: Product) -> None:
    """The request comes before the policy."""
    await decide(product, exclude_namespaces=["internal"])
    job = await product.back_up(include_namespaces=["internal"])
    contents = f"/instances/{NAME}/backups/{job['result']['backup']}/contents"
    assert "internal/" in (await product.service.client.get(contents)).text


async def test_a_quick_look_protects_nothing(product: Product) -> None:
    """Accepted: the stop says so, a start brings nothing of it back, and the proven one is still the newest."""
    await decide(product)
    proven = (await product.back_up())["result"]["backup"]
    await decide(product, validate="quick")
    result = (await product.stop())["result"]
    assert (result["protected"], result["proof"]["level"]) == (False, "quick")
    assert "quick" in result["reason"]
    assert (await statuses(product))[result["backup"]] == "accepted"
    await product.recreate()
    job = await product.start()
    assert (job["result"]["action"], job["result"]["backup"]) == ("restore", proven)
    assert [warning["code"] for warning in job["warnings"]] == ["newer-accepted-backup"]


async def test_a_request_for_a_proof_gets_one(product: Product) -> None:
    """Whatever the instance's policy says."""
    await decide(product, validate="quick", on_partial="accept")
    result = (await product.stop(validate="deep"))["result"]
    assert (result["protected"], result["reason"]) == (True, "")
    assert (await product.start())["result"]["action"] == "repair"


async def test_a_partial_failure_is_accepted_and_displaces_nothing(product: Product) -> None:
    """By the policy; a request that says fail is heard."""
    await decide(product, on_partial="accept", keep_last=1)
    proven = (await product.back_up())["result"]["backup"]
    product.faults(backup_phase="PartiallyFailed")
    result = (await product.back_up())["result"]
    assert (result["proof"]["verdict"], "PartiallyFailed" in result["proof"]["accepted"][0]) == ("accepted", True)
    found = await statuses(product)
    assert (found[result["backup"]], found[proven]) == ("accepted", "proven")
    assert (await product.back_up(on_partial="fail"))["error"]["code"] == "backup-failed"


@pytest.mark.parametrize("part", ["backup", "restore"])
async def test_timeouts(product: Product, part: str) -> None:
    """Of Velero's own work, each by its own field."""
    await decide(product)
    await product.back_up()
    await decide(product, **{f"{part}_timeout_seconds": 0.5})
    product.faults(slow={f"{part}:InProgress": 20})
    if part == "backup":
        error = (await product.back_up())["error"]
    else:
        wish = {"restore": {"namespaces": ["internal"], "required": True}}
        error = (await product.service.run(f"/instances/{NAME}/restores", wish))["error"]
    assert (error["code"], "0.5 s" in error["detail"]) == ("step-timeout", True)


async def test_a_stack_that_is_resident_no_more_goes_to_sleep(product: Product) -> None:
    """At once, not after the next job."""
    await decide(product, stack="resident")
    await product.back_up()
    assert await product.velero_replicas() == 1
    await decide(product)
    await eventually(lambda: sleeps(product))
