"""Sizes that keep the code readable; layers and library homes are import-linter contracts (`make lint`)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

APP = Path(__file__).parent.parent / "app"
MOST_LINES_IN_A_FILE = 400
MOST_LINES_IN_A_FUNCTION = 50
MOST_LINES_IN_A_STORY = 40
STORIES = {"stop_instance", "start_instance"}


def functions() -> Iterator[tuple[str, str, int]]:
    """File, name and number of lines of every function of the package."""
    for path in sorted(APP.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield str(path.relative_to(APP)), node.name, node.end_lineno - node.lineno + 1


def test_no_file_is_longer_than_a_reader_can_hold() -> None:
    """A file has one subject, so it stays under 400 lines."""
    lengths = {str(path.relative_to(APP)): len(path.read_text().splitlines()) for path in APP.rglob("*.py")}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES_IN_A_FILE} == {}


def test_no_function_is_longer_than_a_screen() -> None:
    """A function fits on a screen: 50 lines."""
    assert [entry for entry in functions() if entry[2] > MOST_LINES_IN_A_FUNCTION] == []


@pytest.mark.parametrize("story", sorted(STORIES))
def test_the_stories_read_as_a_checklist(story: str) -> None:
    """Stop and start are told in one function of at most 40 lines each."""
    lines = [lines for file, name, lines in functions() if name == story and file.startswith("workflows")]
    assert len(lines) == 1
    assert lines[0] <= MOST_LINES_IN_A_STORY
