"""Column types that tables share: aware UTC times, and JSON."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, TypeDecorator
from sqlmodel import JSON, Column


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC in and out; SQLite itself keeps no time zone."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """To the database: a naive time is a mistake of ours."""
        if value is not None and value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored")
        return value.astimezone(UTC) if value is not None else None

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:  # noqa: ARG002
        """From the database."""
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value


def time_column(*, nullable: bool = True) -> Any:
    """A moment, always with its zone."""
    return Column(UtcDateTime(), nullable=nullable)


def json_column(*, nullable: bool = True) -> Any:
    """A JSON document; None is SQL's NULL."""
    return Column(JSON(none_as_null=True), nullable=nullable)
