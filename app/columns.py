"""Column types that tables share: aware UTC times, JSON, and integers of 64 bits."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, DateTime, Integer, TypeDecorator
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
        if value is None:
            return None
        # A server gives its session's zone.
        return value.astimezone(UTC) if value.tzinfo is not None else value.replace(tzinfo=UTC)


def time_column(*, nullable: bool = True) -> Any:
    """A moment, always with its zone."""
    return Column(UtcDateTime(), nullable=nullable)


def json_column(*, nullable: bool = True) -> Any:
    """A JSON document; None is SQL's NULL."""
    return Column(JSON(none_as_null=True), nullable=nullable)


def large_column(*, primary_key: bool = False, nullable: bool = False) -> Any:
    """An integer of 64 bits; SQLite's are, and count a key up by themselves only under their plain name."""
    large = BigInteger().with_variant(Integer(), "sqlite")
    return Column(large, primary_key=primary_key, nullable=nullable)
