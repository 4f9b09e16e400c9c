"""``python -m tests.faults``: write the matrix into docs/reliability.md."""

from tests.faults.document import RELIABILITY, with_parts

RELIABILITY.write_text(with_parts(RELIABILITY.read_text()))
