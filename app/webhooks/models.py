"""The tables of webhooks: endpoints, and the outbox of deliveries."""

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from app.columns import json_column, time_column


class Endpoint(SQLModel, table=True):
    """A receiver of this host; its secret must be kept as it is, since every message is signed with it."""

    __tablename__ = "webhook_endpoint"

    id: str = Field(primary_key=True, description="UUIDv7.")
    host: str = Field(description="Addresses like 127.0.0.1 mean another machine elsewhere.")
    url: str
    description: str = ""
    events: list[str] = Field(sa_column=json_column(nullable=False), description="Types to send; empty means all.")
    secret: str = Field(repr=False, description="whsec_ and base64.")
    previous_secret: str | None = Field(default=None, repr=False)
    previous_secret_until: datetime | None = Field(default=None, sa_column=time_column())
    disabled_at: datetime | None = Field(default=None, sa_column=time_column())
    disabled_reason: str = ""
    created_at: datetime = Field(sa_column=time_column(nullable=False))


class Delivery(SQLModel, table=True):
    """One message to one receiver, written in the transaction of what it tells of."""

    __tablename__ = "webhook_delivery"
    __table_args__ = (
        Index("webhook_delivery_due", "host", "status", "next_attempt_at"),
        Index("webhook_delivery_by_host", "host", "id"),
    )

    id: str = Field(primary_key=True, description="UUIDv7 with the prefix msg_; the same in every attempt.")
    host: str
    endpoint_id: str | None = Field(default=None, index=True, description="Null for a job's callback_url.")
    url: str | None = Field(default=None, repr=False, description="Of a callback; may hold a password.")
    job_id: str | None = Field(default=None, index=True)
    type: str
    body: str = Field(description="What is sent, byte by byte, since the signature is over it.")
    status: str = Field(default="pending", description="pending, delivered or failed")
    attempts: int = 0
    next_attempt_at: datetime = Field(sa_column=time_column(nullable=False))
    last_status: int | None = Field(default=None, description="HTTP status of the last answer.")
    last_error: str = ""
    created_at: datetime = Field(sa_column=time_column(nullable=False))
    delivered_at: datetime | None = Field(default=None, sa_column=time_column())
