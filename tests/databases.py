"""Which databases a test runs on: SQLite, and with ``pytestmark = ON_BOTH_DATABASES`` on PostgreSQL as well."""

import pytest

ON_BOTH_DATABASES = pytest.mark.parametrize(
    "kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], ids=str
)
