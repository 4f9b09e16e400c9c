"""How commands are found in a page, and how what they print is compared."""

from pathlib import Path

import pytest

from tests.docs import blocks as documents
from tests.docs.blocks import agrees, blocks, commands

PAGE = """
# A page

```sh
one  # first
two
```

<!-- not run: needs Docker -->
```sh
docker ps
```

```console
$ first \\
    --option
said
more

$ second
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A page with all there can be."""
    monkeypatch.setattr(documents, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_a_block_of_commands_is_one_command(page: Path) -> None:
    """So that loops and variables work."""
    first = next(blocks(page))
    assert [(each.place, each.text, each.shown) for each in commands(first)] == [
        ("page.md:4", "one  # first\ntwo\n", None)
    ]


def test_a_mark_leaves_a_block_out_and_says_why(page: Path) -> None:
    """Nothing else does."""
    assert [(block.runs, block.reason) for block in blocks(page)] == [
        (True, None),
        (False, "needs Docker"),
        (True, None),
    ]


def test_a_console_is_split_at_its_prompts(page: Path) -> None:
    """A command may go on in the next line; what follows it is what it prints."""
    *_, console = blocks(page)
    assert [(each.text, each.shown) for each in commands(console)] == [
        ("first \\\n    --option", "said\nmore\n"),
        ("second", ""),
    ]


@pytest.mark.parametrize(
    ("shown", "printed", "same"),
    [
        ("took ... s", "took 1.5 s \n", True),
        ("first\n...\nlast", "first\nsecond\nthird\nlast", True),
        ("first\n...\nlast", "first\nlast, and more", False),
        ("a.b", "axb", False),
        ("", "a warning", False),
    ],
)
def test_dots_stand_for_anything_and_nothing_else_does(shown: str, printed: str, same: bool) -> None:
    """All that was printed has to be accounted for."""
    assert agrees(shown, printed) is same
