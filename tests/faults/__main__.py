"""``python -m tests.faults``: write the matrix into docs/reliability.md."""

from pathlib import Path

from tests.faults.document import BEGIN, END, matrix_table

RELIABILITY = Path(__file__).parents[2] / "docs" / "reliability.md"

text = RELIABILITY.read_text()
head, tail = text[: text.index(BEGIN)], text[text.index(END) :]
RELIABILITY.write_text(f"{head}{BEGIN}\n{matrix_table()}\n{tail}")
