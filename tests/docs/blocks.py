"""The fenced blocks of the documents, and the commands in them.

``sh`` holds commands, ``console`` commands after ``$ `` with what they print, where ``...`` stands for anything.
A comment in the line before a block, ``<!-- not run: why -->``, leaves it out.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: What a reader meets; the ADRs in docs/decisions and the figures hold no commands.
PAGES = [ROOT / "README.md", *sorted(page for page in (ROOT / "docs").rglob("*.md") if "decisions" not in page.parts)]
COMMANDS = {"sh", "console"}
#: Languages of blocks that are no commands.
OTHER = {"text", "json", "http", "python", "mermaid", "yaml", "ini", "sql"}

_FENCE = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+) -->\n)?```(?P<language>.*)\n(?P<text>(?:.*\n)*?)```$", re.MULTILINE
)
_PROMPT = re.compile(r"^\$ ", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    language: str
    text: str
    reason: str | None
    """Why it is not run."""

    @property
    def runs(self) -> bool:
        """Whether it holds commands that can be run here."""
        return self.language in COMMANDS and self.reason is None


@dataclass(frozen=True)
class Command:
    """What a reader types at once, and what is then seen; ``None`` where the page does not say."""

    place: str
    text: str
    shown: str | None


def blocks(page: Path) -> Iterator[Block]:
    """All blocks of a page, in order."""
    text = page.read_text()
    for found in _FENCE.finditer(text):
        line = text.count("\n", 0, found.start()) + 1
        yield Block(str(page.relative_to(ROOT)), line, found["language"], found["text"], found["reason"])


def commands(block: Block) -> Iterator[Command]:
    """The commands of a block; all of an ``sh`` block at once."""
    place = f"{block.page}:{block.line}"
    if block.language == "sh":
        yield Command(place, block.text, None)
        return
    for part in _PROMPT.split(block.text)[1:]:
        typed, shown = _typed_and_shown(part)
        yield Command(place, typed, shown)


def _typed_and_shown(part: str) -> tuple[str, str]:
    """A command may go on after a backslash."""
    lines = part.splitlines()
    last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
    return "\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :])


def agrees(shown: str, printed: str) -> bool:
    """Whether what was printed is what the page shows; spaces at the ends of lines do not count."""
    pattern = ".*?".join(re.escape(piece) for piece in _plain(shown).split("..."))
    return re.fullmatch(pattern, _plain(printed), re.DOTALL) is not None


def _plain(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.strip().splitlines())
