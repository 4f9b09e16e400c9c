"""The history of an instance whose database is gone."""

import shutil
from pathlib import Path

import pytest

from tests.instances import NAME
from tests.product import Product, sandbox_product


async def lose_the_database(product: Product) -> None:
    """Between two runs of the service."""
    await product.service.kill()
    for path in (product.state_dir / "state").glob("state.db*"):
        path.unlink()
    await product.service.start()


@pytest.mark.timeout(180)
async def test_a_history_comes_back_as_it_was(tmp_path: Path) -> None:
    """Proven and accepted by their proofs, pins too; unproven where none lies; what is not in the bucket is named."""
    async with sandbox_product(tmp_path) as product:
        proven, unproven = [(await product.back_up())["result"]["backup"] for _ in range(2)]
        accepted = (await product.back_up(validate="quick"))["result"]["backup"]
        await product.service.client.put(f"/instances/{NAME}/backups/{proven}/pin")
        proofs = product.state_dir / "instances" / NAME / "proofs"
        shutil.rmtree(proofs / unproven)
        of_a_lost_one = (proofs / proven / "proof.json").read_text().replace(proven, "lost")
        (proofs / "lost").mkdir()
        (proofs / "lost" / "proof.json").write_text(of_a_lost_one)
        await lose_the_database(product)
        job = await product.service.run(f"/instances/{NAME}/rebuild")
        assert job["result"] == {
            "proven": [proven], "accepted": [accepted], "unproven": [unproven], "gone": ["lost"],
        }  # fmt: skip
        rows = {row["id"]: row for row in await product.backups()}
        assert {row["scope"] for row in rows.values()} == {"full"}
        assert [name for name, row in rows.items() if row["pinned"]] == [proven]
        assert rows["lost"]["status"] == "unproven"
