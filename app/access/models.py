"""The tables of access: tokens, and the record of what was asked for."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.columns import large_column, time_column


class Token(SQLModel, table=True):
    """A bearer token, of which only the digest is kept; a revoked one stays as a row."""

    __tablename__ = "token"

    id: str = Field(primary_key=True, description="UUIDv7.")
    name: str
    digest: str = Field(
        unique=True, description="SHA-256 of the token, in hex; a token is random, so no salt is needed."
    )
    scope: str = Field(description="read or operate")
    created_at: datetime = Field(sa_column=time_column(nullable=False))
    revoked_at: datetime | None = Field(default=None, sa_column=time_column())


class AuditEvent(SQLModel, table=True):
    """A request that changes something, and how it was answered."""

    __tablename__ = "audit_event"
    __table_args__ = (Index("audit_event_by_host", "host", "id"),)

    id: int | None = Field(default=None, sa_column=large_column(primary_key=True))
    at: datetime = Field(sa_column=time_column(nullable=False))
    host: str = Field(description="The service that answered.")
    caller: str = Field(description="Name of the token, or `local` for a caller without one.")
    method: str
    path: str
    status: int = Field(description="HTTP status of the answer.")
