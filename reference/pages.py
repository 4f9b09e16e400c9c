"""All pages, by file name."""

from pathlib import Path

from app.main import create_app
from app.settings import Settings
from reference.api import api_page
from reference.command_line import command_line_page
from reference.metrics import metrics_page
from reference.problems import problems_page
from reference.service_settings import settings_page

DIRECTORY = Path(__file__).parents[1] / "docs" / "reference"
_NOTE = "\n\n<!-- Made of the code by `make docs`; change it there. -->\n"


def pages() -> dict[str, str]:
    """As they are to lie in ``DIRECTORY``."""
    document = create_app(Settings()).openapi()
    made = {
        "api.md": api_page(document),
        "command-line.md": command_line_page(),
        "metrics.md": metrics_page(),
        "problems.md": problems_page(document),
        "settings.md": settings_page(),
    }
    return {name: text.replace("\n", _NOTE, 1) for name, text in made.items()}
