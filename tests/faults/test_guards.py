"""The matrix as a whole: rows are told apart, and each known problem of Velero's has what shows its guard."""

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.document import RELIABILITY, with_parts
from tests.faults.guards import ELSEWHERE, KNOWN_PROBLEMS
from tests.faults.matrix import ROWS

ROOT = Path(__file__).parents[2]


def test_there_are_sixty_rows_and_each_has_a_name_of_its_own() -> None:
    """The document and a failed run name them so."""
    assert len(ROWS) >= 60
    assert max(Counter((row.place, row.what) for row in ROWS).values()) == 1


def test_every_known_problem_has_a_row_or_a_test() -> None:
    """And nothing is said to be shown that is not on the list."""
    shown = {number for row in ROWS for number in row.guards}
    assert shown | set(ELSEWHERE) == set(KNOWN_PROBLEMS)


@pytest.mark.parametrize("test", sorted({test for tests in ELSEWHERE.values() for test in tests}))
def test_the_tests_that_show_the_other_guards_exist(test: str) -> None:
    """By file and name."""
    file, _, name = test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)


def test_the_document_shows_matrix_and_corpus_as_they_are() -> None:
    """``python -m tests.faults`` writes them."""
    text = RELIABILITY.read_text()
    assert with_parts(text) == text


def test_the_document_has_the_figures_of_the_corpus_last_run() -> None:
    """Nothing was missed in it."""
    sums = re.findall(r"^ *(\d+) of *(\d+)  in all$", (ROOT / "docs" / "runs" / "corpus.txt").read_text(), re.MULTILINE)
    text = " ".join(RELIABILITY.read_text().split())
    assert [(found, f"{int(found):,} of {int(tried):,}" in text) for found, tried in sums] == [
        ("1050", True), ("1200", True), ("1000", True)
    ]  # fmt: skip
