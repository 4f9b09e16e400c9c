"""Every query on endpoints and on what was sent to them, each in a short transaction of its own."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import delete, update
from sqlmodel import Session, col, select
from uuid6 import uuid7

from app.db import Database
from app.queries import now, reads, writes
from app.webhooks.addresses import Addresses
from app.webhooks.errors import DeliveryNotFound, WebhookDisabled, WebhookNotFound
from app.webhooks.messages import TRIAL_TYPE, EventType, trial_body
from app.webhooks.models import Delivery, Endpoint
from app.webhooks.outbox import new_delivery
from app.webhooks.signing import new_secret

#: How long a secret that was replaced still signs along.
ROTATION = timedelta(hours=24)


class WebhookStore:
    """The endpoints of one host; none with an address that nothing may be sent to."""

    def __init__(self, database: Database, host: str, addresses: Addresses) -> None:
        self.database = database
        self._host = host
        self._addresses = addresses

    async def create(self, url: str, description: str, events: Sequence[EventType]) -> Endpoint:
        """Register a receiver; raises ``WebhookAddressRefused``."""
        self._addresses.check(url)
        endpoint = Endpoint(
            id=str(uuid7()),
            host=self._host,
            url=url,
            description=description,
            events=[*events],
            secret=new_secret(),
            created_at=now(),
        )
        await self._insert(endpoint)
        return endpoint

    @writes
    def _insert(self, session: Session, endpoint: Endpoint) -> None:
        session.add(endpoint)

    @reads
    def get(self, session: Session, endpoint_id: str) -> Endpoint:
        """One endpoint; raises ``WebhookNotFound``."""
        return self._known(session, endpoint_id)

    @reads
    def list(self, session: Session, *, before: str | None = None, limit: int = 100) -> Sequence[Endpoint]:
        """Newest first; ``before`` is the id of the last one of the page before."""
        query = select(Endpoint).where(col(Endpoint.host) == self._host).order_by(col(Endpoint.id).desc()).limit(limit)
        if before is not None:
            query = query.where(col(Endpoint.id) < before)
        return session.execute(query).scalars().all()

    async def change(self, endpoint_id: str, changes: dict[str, Any]) -> Endpoint:
        """Set url, description or events, or switch it on or off (``enabled``)."""
        if "url" in changes:
            self._addresses.check(changes["url"])
        return await self._change(endpoint_id, changes)

    @writes
    def _change(self, session: Session, endpoint_id: str, changes: dict[str, Any]) -> Endpoint:
        endpoint = self._known(session, endpoint_id)
        enabled = changes.pop("enabled", None)
        if "url" in changes or (enabled and endpoint.disabled_at is not None):
            # What waits for a receiver that was down is tried where it is now, and not in hours.
            _due_at(session, endpoint_id, now())
        if enabled:
            endpoint.disabled_at, endpoint.disabled_reason = None, ""
        elif enabled is False and endpoint.disabled_at is None:
            endpoint.disabled_at, endpoint.disabled_reason = now(), "switched off by request"
        for name, value in changes.items():
            setattr(endpoint, name, value)
        return endpoint

    @writes
    def delete(self, session: Session, endpoint_id: str) -> None:
        """Forget an endpoint and everything that was or would be sent to it."""
        session.delete(self._known(session, endpoint_id))
        session.execute(delete(Delivery).where(col(Delivery.endpoint_id) == endpoint_id))

    @writes
    def rotate_secret(self, session: Session, endpoint_id: str) -> Endpoint:
        """A new secret; the one before it signs along for a day."""
        endpoint = self._known(session, endpoint_id)
        endpoint.previous_secret, endpoint.previous_secret_until = endpoint.secret, now() + ROTATION
        endpoint.secret = new_secret()
        return endpoint

    @writes
    def send_test(self, session: Session, endpoint_id: str) -> Delivery:
        """Queue a message that only says it is a test."""
        endpoint = self._enabled(session, endpoint_id)
        body = trial_body(endpoint.id, endpoint.description)
        delivery = new_delivery(self._host, TRIAL_TYPE, body, endpoint_id=endpoint_id)
        session.add(delivery)
        return delivery

    @reads
    def deliveries(
        self, session: Session, endpoint_id: str, *, before: str | None = None, limit: int = 100
    ) -> Sequence[Delivery]:
        """What was sent to an endpoint or waits to be, newest first."""
        self._known(session, endpoint_id)
        query = select(Delivery).where(col(Delivery.endpoint_id) == endpoint_id)
        if before is not None:
            query = query.where(col(Delivery.id) < before)
        return session.execute(query.order_by(col(Delivery.id).desc()).limit(limit)).scalars().all()

    @writes
    def replay(self, session: Session, endpoint_id: str, delivery_id: str) -> Delivery:
        """Send a message once more, with the same id, whatever became of it; its schedule begins anew."""
        self._enabled(session, endpoint_id)
        delivery = session.get(Delivery, delivery_id, with_for_update=True)
        if delivery is None or delivery.endpoint_id != endpoint_id:
            raise DeliveryNotFound(
                f"webhook {endpoint_id!r} has no delivery {delivery_id[:64]!r}",
                remedy=f"List them with GET /webhooks/{endpoint_id}/deliveries.",
            )
        delivery.status, delivery.attempts, delivery.next_attempt_at = "pending", 0, now()
        delivery.delivered_at = None
        return delivery

    def _known(self, session: Session, endpoint_id: str) -> Endpoint:
        endpoint = session.get(Endpoint, endpoint_id)
        if endpoint is None or endpoint.host != self._host:
            raise WebhookNotFound(f"there is no webhook {endpoint_id[:64]!r}", remedy="List them with GET /webhooks.")
        return endpoint

    def _enabled(self, session: Session, endpoint_id: str) -> Endpoint:
        endpoint = self._known(session, endpoint_id)
        if endpoint.disabled_at is not None:
            raise WebhookDisabled(
                f"webhook {endpoint_id!r} is disabled: {endpoint.disabled_reason}",
                remedy=f'Enable it with PATCH /webhooks/{endpoint_id} and {{"enabled": true}}.',
            )
        return endpoint


def _due_at(session: Session, endpoint_id: str, at: datetime) -> None:
    mine = (col(Delivery.endpoint_id) == endpoint_id) & (col(Delivery.status) == "pending")
    session.execute(update(Delivery).where(mine).values(next_attempt_at=at))
