"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ADR = ROOT / "docs" / "adr-0025.md"
PLACE = re.compile(r"`((?:app|tests|docs)/[\w./-]+)(?:::(\w+))?`")


@pytest.mark.parametrize(("file", "name"), sorted(set(PLACE.findall(ADR.read_text()))))
def test_every_place_that_the_adrs_page_names_exists(file: str, name: str) -> None:
    """Files, and tests and functions in them."""
    text = (ROOT / file).read_text() if (ROOT / file).is_file() else None
    assert text is not None or (ROOT / file).is_dir(), file
    assert not name or re.search(rf"^(async )?def {name}\(|^class {name}\b", text or "", re.MULTILINE), (file, name)


def test_every_acceptance_test_has_its_line() -> None:
    """And every line its test: the page is the list of what was promised."""
    tests = re.findall(r"^async def (test_\w+)", (ROOT / "tests/acceptance/test_adr_0025.py").read_text(), re.MULTILINE)
    named = {name for file, name in PLACE.findall(ADR.read_text()) if file == "tests/acceptance/test_adr_0025.py"}
    assert named == set(tests)
