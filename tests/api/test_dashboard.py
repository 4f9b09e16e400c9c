"""The dashboard as it is served: small, local, under a strict policy, and readable in both colour schemes."""

import re
from itertools import product
from pathlib import Path
from typing import get_args

import httpx
import pytest

from app.api.dashboard import FILES
from app.api.schemas import JobType
from app.settings import ServerSettings
from tests.api.serving import served_api
from tests.api.test_problems import problem_of

MOST_BYTES = 150_000
MOST_LINES_IN_A_FILE = 400
SCRIPTS = sorted(FILES.rglob("*.js"))
#: WCAG 2.2: 1.4.3 asks this of text, 1.4.11 of what shows where a control ends or a curve runs.
TEXT, SHAPES = 4.5, 3.0
PAIRS = [
    *((ink, ground, TEXT) for ink, ground in product(("ink", "soft"), ("page", "panel", "sunken", "calm-fill"))),
    *((ink, ground, TEXT) for ink, ground in product(("accent", "good", "bad", "warn"), ("page", "panel", "sunken"))),
    *((word, f"{word}-fill", TEXT) for word in ("good", "bad", "warn")),
    *(("ink", f"{word}-fill", TEXT) for word in ("good", "bad", "warn")),
    ("on-fill", "accent-fill", TEXT),
    ("on-fill", "danger-fill", TEXT),
    ("edge", "panel", SHAPES),
    ("accent", "calm-fill", SHAPES),
    ("second", "panel", SHAPES),
]

#: Steps of operations that are shown step by step.
OUTSIDE_OF_PHASES = {
    "check-deletable", "copy-backups", "delete-and-forget", "examine-backup", "note-damage", "open-target", "plan-move",
    "prepare-target", "prove-copies", "read-history", "switch-storage", "use-new-store",
}  # fmt: skip


def colours(scheme: str) -> dict[str, str]:
    """The style sheet's variables as six hexadecimal digits, in the light or the dark scheme."""
    css = (FILES / "dashboard.css").read_text()
    found = re.findall(r"--([\w-]+): light-dark\(#([0-9a-f]{6}), #([0-9a-f]{6})\);", css)
    return {name: light if scheme == "light" else dark for name, light, dark in found}


def luminance(colour: str) -> float:
    """WCAG 2.2's relative luminance."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (0, 2, 4)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio, from 1 to 21."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everything_can_be_read_in_both_schemes(scheme: str) -> None:
    """By the very variables the page is painted with; no rule names a colour beside them but two shadows."""
    known = colours(scheme)
    found = {(ink, ground): contrast(known[ink], known[ground]) for ink, ground, _ in PAIRS}
    assert {pair: round(found[pair[:2]], 2) for pair in PAIRS if found[pair[:2]] < pair[2]} == {}
    rules = (FILES / "dashboard.css").read_text().partition("}")[2]
    assert re.findall(r"#[0-9a-fA-F]{3,8}\b|(?<!backdrop \{ background: )rgb\(", rules) == ["rgb("]


def test_all_of_it_is_small() -> None:
    """Goal: under 150 kB in all, uncompressed."""
    assert sum(path.stat().st_size for path in FILES.rglob("*") if path.is_file()) < MOST_BYTES
    assert [path.name for path in SCRIPTS if len(path.read_text().splitlines()) > MOST_LINES_IN_A_FILE] == []


async def test_the_page_and_all_it_loads_are_served_here(client: httpx.AsyncClient) -> None:
    """Every module of the page is announced in its head, so that none waits for another to name it."""
    page = await client.get("/")
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    loaded = re.findall(r"""(?:src|href)="(/dashboard/[^"]+)\"""", page.text)
    types = {path: (await client.get(path)).headers["content-type"].partition(";")[0] for path in loaded}
    assert {path.removeprefix("/dashboard/") for path in loaded} == {
        str(path.relative_to(FILES)) for path in FILES.rglob("*.*") if path.name != "index.html"
    }
    assert set(types.values()) <= {"text/css", "text/javascript", "application/javascript", "image/svg+xml"}


async def test_the_policy_allows_nothing_inline_and_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    """And no string may become markup or code (Trusted Types)."""
    page = await client.get("/")
    policy = page.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "trusted-types 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert not re.search(r"<script(?! (type=\"module\" )?src)|<style|\sstyle=|\son\w+=", page.text)


@pytest.mark.parametrize("script", SCRIPTS, ids=[path.name for path in SCRIPTS])
def test_scripts_make_elements_and_never_markup(script: Path) -> None:
    """Text from the service is only ever text; tokens lie in session storage only."""
    text = script.read_text()
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://(?!www\.w3)", text
    )
    assert "localStorage" not in text or script.name == "theme.js"


async def test_an_unchanged_file_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """Browsers ask each time, and are answered by ETag."""
    first = await client.get("/dashboard/dashboard.css")
    again = await client.get("/dashboard/dashboard.css", headers={"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_files_that_are_not_there_are_problems(client: httpx.AsyncClient) -> None:
    """Above the directory too."""
    for path in ("/dashboard/nothing.js", "/dashboard/%2e%2e/main.py", "/dashboard/"):
        problem_of(await client.get(path), 404, "route-not-found")


async def test_the_page_needs_no_token_and_shows_nothing_without_one(tmp_path: Path) -> None:
    """What it shows comes from the API, which asks for one."""
    async with served_api(tmp_path, ServerSettings(require_token=True)) as guarded:
        assert (await guarded.client.get("/")).status_code == 200
        assert (await guarded.client.get("/dashboard/main.js")).status_code == 200
        problem_of(await guarded.client.get("/instances"), 401, "token-required")


async def test_the_page_is_no_part_of_the_api(client: httpx.AsyncClient) -> None:
    """Its address is for people."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    assert not [path for path in paths if path == "/" or path.startswith("/dashboard")]


def test_every_step_that_a_phase_names_is_a_step_of_a_workflow() -> None:
    """A step that is renamed would leave its phase waiting for ever."""
    named = set(re.findall(r'"([a-z]+(?:-[a-z]+)+)"', (FILES / "phases.js").read_text().partition("};")[0]))
    workflows = "".join(path.read_text() for path in (FILES.parent / "workflows").glob("*.py"))
    steps = {name.replace("_", "-") for name in re.findall(r"[._]step\(\s*([a-z_]+)", workflows)}
    assert named <= steps
    assert steps - named <= OUTSIDE_OF_PHASES


def test_every_type_of_job_has_a_word() -> None:
    """Taken from the wire's own list."""
    words = (FILES / "words.js").read_text().partition("const TYPES = {")[2].partition("}")[0]
    assert set(re.findall(r'^  "?([a-z-]+)"?:', words, re.MULTILINE)) == set(get_args(JobType))
