"""The pages of docs/reference: what the code says, and what the other documents may rely on."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from app.errors import RestoreOutstanding
from app.proof.archive import ArchiveDamaged
from reference.command_line import commands
from reference.pages import DIRECTORY, pages
from reference.problems import problems
from reference.service_settings import variables
from tests.docs.blocks import PAGES, ROOT

#: Read by the command line's client, which has no settings.
CLIENTS = {"KECS_STATE_URL", "KECS_STATE_TOKEN", "KECS_STATE_CA_FILE"}
COMMAND = re.compile(r"`(?:\.venv/bin/)?kecs-state ([a-z][^`]*)`")


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    """What the code says now."""
    return pages()


@pytest.fixture(scope="module")
def calls() -> dict[str, Any]:
    """Commands by the words that call them."""
    return {path.removeprefix("kecs-state "): command for path, command in commands()}


def test_the_committed_pages_are_what_the_code_says(made: dict[str, str]) -> None:
    """All of them and no other; after a change: `make docs`."""
    assert {path.name: path.read_text() for path in DIRECTORY.iterdir()} == made


def test_every_operation_has_its_section(made: dict[str, str]) -> None:
    """By method and path, as in openapi.json."""
    paths = json.loads((ROOT / "openapi.json").read_text())["paths"]
    expected = {f"{method.upper()} {path}" for path, item in paths.items() for method in item}
    assert set(re.findall(r"^### (.+)$", made["api.md"], re.MULTILINE)) == expected


def test_problems_of_all_rooms_are_found() -> None:
    """Those in a room's own errors too, each once, and none of the sandbox."""
    found = problems()
    assert {RestoreOutstanding, ArchiveDamaged} <= set(found)
    assert len({problem.code for problem in found}) == len(found)
    assert not any(problem.__module__.startswith("app.sandbox") for problem in found)


def test_settings_in_groups_of_groups_are_found() -> None:
    """By the name that the environment gives them."""
    assert {"KECS_STATE_HOME", "KECS_STATE_STACK__IMAGES__MINIO", "KECS_STATE_STORAGE__BUCKET"} <= variables()


def test_every_setting_says_what_it_is(made: dict[str, str]) -> None:
    """A name and a default are not enough."""
    rows = re.findall(r"^\| `KECS_STATE_.*$", made["settings.md"], re.MULTILINE)
    assert len(rows) == len(variables())
    assert [row for row in rows if row.endswith("|  |")] == []


def test_every_variable_that_a_document_names_exists() -> None:
    """A name before an ellipsis is the beginning of several."""
    known = variables() | CLIENTS
    for page in PAGES:
        for name, more in re.findall(r"(KECS_STATE_[A-Z0-9_]*[A-Z0-9_])(…?)", page.read_text()):
            assert name in known or (more and any(each.startswith(name) for each in known)), (page.name, name)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_that_a_sentence_names_exists(page: Path, calls: dict[str, Any]) -> None:
    """With its options; `NAME` and the like stand for themselves."""
    for said in COMMAND.findall(page.read_text()):
        words = said.split()
        path = next((" ".join(words[:length]) for length in (2, 1) if " ".join(words[:length]) in calls), None)
        assert path, f"{page.name}: {said}"
        known = {option for each in calls[path].params for option in (*each.opts, *each.secondary_opts)}
        assert {word for word in words if word.startswith("-")} <= known, f"{page.name}: {said}"
