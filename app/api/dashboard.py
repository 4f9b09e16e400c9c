"""The dashboard: one page and its files, served as they lie in ``app/dashboard``.

All that the page shows it reads from the same API as every other caller, with the caller's token.
"""

from pathlib import Path

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse
from starlette.staticfiles import StaticFiles

FILES = Path(__file__).parent.parent / "dashboard"
PREFIX = "/dashboard"

router = APIRouter(include_in_schema=False)


@router.get("/")
async def get_dashboard() -> FileResponse:
    """The page; it holds no data, so it needs no token."""
    return FileResponse(FILES / "index.html", media_type="text/html")


def serve_files(app: FastAPI) -> None:
    """Serve what the page loads."""
    app.mount(PREFIX, StaticFiles(directory=FILES), name="dashboard")
