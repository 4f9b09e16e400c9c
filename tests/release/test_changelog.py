"""The changelog and the version agree."""

import re
import tomllib
from datetime import date

from tests.release.installing import ROOT

HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
RELEASE = re.compile(r"(\d+)\.(\d+)\.(\d+) \((\d{4}-\d{2}-\d{2})\)")


def _releases() -> list[tuple[tuple[int, ...], date]]:
    """Version and day of every release told of, in the order of the file."""
    headings = HEADING.findall((ROOT / "CHANGELOG.md").read_text())
    assert headings[0] == "Unreleased"
    matches = [RELEASE.fullmatch(heading) for heading in headings[1:]]
    assert None not in matches, headings
    return [(tuple(map(int, match.groups()[:3])), date.fromisoformat(match[4])) for match in matches if match]


def test_releases_are_told_newest_first() -> None:
    """Below what is not released yet; `0.2.0 (2026-12-01)` is how one is named."""
    releases = _releases()
    assert releases == sorted(releases, reverse=True)


def test_the_version_is_not_older_than_what_the_changelog_tells() -> None:
    """A heading made without setting the version would ship under the old one."""
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert all(number <= tuple(map(int, version.split("."))) for number, _ in _releases())
