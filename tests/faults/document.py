"""What docs/reliability.md shows of the matrix and of the corpus, between marks."""

from pathlib import Path

from tests.faults.guards import ELSEWHERE, KNOWN_PROBLEMS
from tests.faults.matrix import ROWS
from tests.faults.rows import Fault
from tests.proof.corpus import BLIND

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"


def matrix_table() -> str:
    """Every row, by place, and then every known problem of Velero's with what shows its guard."""
    rows = sorted(ROWS, key=lambda row: row.place)
    lines = [
        f"{len(rows)} rows:",
        "",
        "| where | what goes wrong | operation | ends | cluster |",
        "|---|---|---|---|---|",
    ]
    lines += [f"| {row.place} | {row.what} | {row.operation} | {_end(row)} | {row.cluster} |" for row in rows]
    lines += ["", "| problem of Velero's users | shown by |", "|---|---|"]
    lines += [f"| {number}. {problem} | {_shown_by(number)} |" for number, problem in KNOWN_PROBLEMS.items()]
    return "\n".join(lines)


def blind_spots() -> str:
    """What a first proof cannot see, and why."""
    return (
        "\n".join(f"- {(kind.__doc__ or '').rstrip('.').lower()}: {why};" for kind, why in BLIND.items()).removesuffix(
            ";"
        )
        + "."
    )


PARTS = {"fault matrix": matrix_table, "blind spots": blind_spots}


def with_parts(text: str) -> str:
    """The document with every part as it is now."""
    for name, part in PARTS.items():
        begin, end = f"<!-- {name}: written by python -m tests.faults -->", f"<!-- end of the {name} -->"
        text = f"{text[: text.index(begin)]}{begin}\n{part()}\n{text[text.index(end) :]}"
    return text


def _end(row: Fault) -> str:
    return ", ".join([row.ends, *([f"`{row.code}`"] if row.code else ()), *(f"warning `{w}`" for w in row.warnings)])


def _shown_by(number: int) -> str:
    rows = [f"{row.place}: {row.what}" for row in ROWS if number in row.guards]
    return "; ".join([*rows, *(f"`{test}`" for test in ELSEWHERE.get(number, ()))])
