"""The service as it is put together."""

import gc
from pathlib import Path

from app.main import create_app
from app.settings import Settings
from tests.waiting import eventually


async def test_what_is_loaded_for_good_is_left_out_of_collections(tmp_path: Path) -> None:
    """Each full one would stop the event loop for all of it."""
    gc.unfreeze()
    app = create_app(Settings(driver="sandbox", sandbox_state_dir=tmp_path))

    async def is_frozen() -> bool:
        return gc.get_freeze_count() > 100_000

    try:
        async with app.router.lifespan_context(app):
            await eventually(is_frozen)
    finally:
        gc.unfreeze()
