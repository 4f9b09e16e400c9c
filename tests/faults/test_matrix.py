"""The fault matrix: each row ends as it is written, and leaves a whole instance behind."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from tests.faults.matrix import ROWS
from tests.faults.rows import PATIENT, Fault
from tests.faults.stage import End, Stage
from tests.product import sandbox_product

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(180)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stage]:
    """One instance that has a proven backup already, and its service."""
    async with sandbox_product(tmp_path_factory.mktemp("stage"), **PATIENT) as product:
        assert (await product.back_up())["status"] == "succeeded"
        yield Stage(product, PATIENT)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.place}: {row.what}")
async def test_a_fault_ends_as_written(stage: Stage, row: Fault) -> None:
    """Status, problem, warnings and the state of the cluster; and afterwards nothing is left of it."""
    end = await stage.play(row)
    await stage.heal()
    assert row.says in end.everything
    assert replace(end, everything=row.says) == End.of_row(row), end.everything
