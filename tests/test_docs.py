"""What the documents point at is there."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import PAGES

ROOT = Path(__file__).parent.parent
ADR = ROOT / "docs" / "adr-0025.md"
LINK = re.compile(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)")
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


@pytest.mark.parametrize(
    "page", [*PAGES, *sorted((ROOT / "docs/decisions").iterdir())], ids=lambda page: str(page.relative_to(ROOT))
)
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file or directory of this repository, and to a heading in it."""
    for target, anchor in LINK.findall(page.read_text()):
        place = (page.parent / target).resolve() if target else page
        assert place.exists(), f"{page.name}: {target}"
        assert place.is_relative_to(ROOT), f"{page.name}: {target}"
        assert not anchor or anchor in _anchors(place), f"{page.name}: {target}#{anchor}"


def _anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    """In blocks and in sentences."""
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z-]*)(?:$|`|  )", page.read_text(), re.MULTILINE))
    assert named <= set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_every_page_is_in_the_index() -> None:
    """But the index itself; the site's sidebar is made of it."""
    linked = {target for target, _ in LINK.findall((ROOT / "docs/index.md").read_text())}
    assert {str(page.relative_to(ROOT / "docs")) for page in PAGES[1:]} - {"index.md"} <= linked
