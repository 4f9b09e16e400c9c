"""A stack that stays up for a while after a job, as KECS_STATE_STACK__LINGER_SECONDS lets it."""

from pathlib import Path

from tests.product import sandbox_product
from tests.waiting import eventually

LINGER_SECONDS = 4


async def test_it_lingers_after_a_backup_and_never_through_a_stop(tmp_path: Path) -> None:
    """Up when the job has ended, down when the time is over; a stop lays it down before the power goes."""
    async with sandbox_product(tmp_path, STACK__LINGER_SECONDS=str(LINGER_SECONDS)) as product:

        async def sleeps() -> bool:
            return await product.velero_replicas() == 0

        assert (await product.back_up())["status"] == "succeeded"
        assert await product.velero_replicas() == 1
        await eventually(sleeps)
        await product.back_up()
        assert (await product.stop())["result"]["protected"]
        await product.instance.power_on()
        assert await sleeps()
