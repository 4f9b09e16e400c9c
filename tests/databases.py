"""Which databases a test runs on: SQLite, and with these marks on PostgreSQL too, or alone."""

import pytest

ON_BOTH_DATABASES = pytest.mark.parametrize(
    "database_kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)], ids=str
)
ON_POSTGRES = pytest.mark.parametrize("database_kind", [pytest.param("postgres", marks=pytest.mark.postgres)], ids=str)
