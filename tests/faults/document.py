"""The matrix as the tables of docs/reliability.md."""

from tests.faults.guards import ELSEWHERE, KNOWN_PROBLEMS
from tests.faults.matrix import ROWS
from tests.faults.rows import Fault

BEGIN, END = "<!-- fault matrix: written by python -m tests.faults -->", "<!-- end of the fault matrix -->"


def matrix_table() -> str:
    """Every row, by place, and then every known problem of Velero's with what shows its guard."""
    rows = sorted(ROWS, key=lambda row: row.place)
    lines = ["| where | what goes wrong | operation | ends | cluster |", "|---|---|---|---|---|"]
    lines += [f"| {row.place} | {row.what} | {row.operation} | {_end(row)} | {row.cluster} |" for row in rows]
    lines += ["", "| problem of Velero's users | shown by |", "|---|---|"]
    lines += [f"| {number}. {problem} | {_shown_by(number)} |" for number, problem in KNOWN_PROBLEMS.items()]
    return "\n".join(lines)


def _end(row: Fault) -> str:
    return ", ".join([row.ends, *([f"`{row.code}`"] if row.code else ()), *(f"warning `{w}`" for w in row.warnings)])


def _shown_by(number: int) -> str:
    rows = [f"{row.place}: {row.what}" for row in ROWS if number in row.guards]
    return "; ".join([*rows, *(f"`{test}`" for test in ELSEWHERE.get(number, ()))])
