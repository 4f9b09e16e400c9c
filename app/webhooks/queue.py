"""The deliveries that wait: which is next, and what became of it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from random import SystemRandom

from sqlalchemy import func
from sqlmodel import Session, and_, col, or_, select

from app.db import Database
from app.queries import now, reads, writes
from app.webhooks.models import Delivery, Endpoint

#: Pauses before the second attempt and each one after it; then the delivery has failed.
PAUSES = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    *(timedelta(hours=hours) for hours in (2, 5, 10, 14, 20, 24)),
)
MAX_ATTEMPTS = len(PAUSES) + 1
LONGEST_PAUSE = timedelta(hours=24)
#: Receivers that were down together are not all called in the same moment.
JITTER = 0.1
GONE = 410

_random = SystemRandom()


@dataclass(frozen=True)
class Message:
    """One delivery as it is sent now."""

    id: str
    receiver: str = field(repr=False)
    """The endpoint's id, or the callback's URL."""
    url: str = field(repr=False)
    body: str
    signers: list[str] = field(repr=False)
    due_at: datetime


@dataclass(frozen=True)
class Outcome:
    """How one attempt ended: an HTTP status, or no answer and why."""

    status: int | None = None
    error: str = ""
    retry_after: timedelta | None = None

    @property
    def delivered(self) -> bool:
        """Whether the receiver has it."""
        return self.status is not None and 200 <= self.status < 300


class DeliveryQueue:
    """The pending deliveries of one host; callbacks are signed with ``secret``."""

    def __init__(self, database: Database, host: str, secret: str) -> None:
        self.database = database
        self._host = host
        self._secret = secret

    @reads
    def next(self, session: Session, busy: list[str]) -> Message | None:
        """The message to be sent next, now or later, to none of the ``busy`` receivers and no disabled endpoint."""
        receiver = func.coalesce(Delivery.endpoint_id, Delivery.url)
        query = (
            select(Delivery, Endpoint)
            .outerjoin(Endpoint, col(Delivery.endpoint_id) == col(Endpoint.id))
            .where(
                col(Delivery.host) == self._host,
                col(Delivery.status) == "pending",
                receiver.not_in(busy),
                or_(
                    col(Delivery.endpoint_id).is_(None),
                    and_(col(Endpoint.id).is_not(None), col(Endpoint.disabled_at).is_(None)),
                ),
            )
            .order_by(col(Delivery.next_attempt_at), col(Delivery.id))
            .limit(1)
        )
        row = session.execute(query).first()
        return self._message(row[0], row[1]) if row is not None else None

    @writes
    def record(self, session: Session, message: Message, outcome: Outcome) -> str:
        """Note how an attempt ended; gives the delivery's status, empty if it was deleted meanwhile."""
        delivery = session.get(Delivery, message.id, with_for_update=True)
        if delivery is None or delivery.status != "pending":
            return delivery.status if delivery is not None else ""
        endpoint = session.get(Endpoint, delivery.endpoint_id) if delivery.endpoint_id else None
        delivery.attempts += 1
        delivery.last_status, delivery.last_error = outcome.status, outcome.error
        if outcome.delivered:
            delivery.status, delivery.delivered_at = "delivered", now()
        elif endpoint is not None and endpoint.url != message.url:
            # It went to the address of before: that says nothing about the one of now.
            delivery.next_attempt_at = now()
        elif outcome.status == GONE:
            delivery.status = "failed"
            if endpoint is not None:
                endpoint.disabled_at, endpoint.disabled_reason = now(), "the receiver answered 410 Gone"
        elif delivery.attempts >= MAX_ATTEMPTS:
            delivery.status = "failed"
        else:
            delivery.next_attempt_at = now() + pause_after(delivery.attempts, outcome.retry_after)
        return delivery.status

    def _message(self, delivery: Delivery, endpoint: Endpoint | None) -> Message:
        url = endpoint.url if endpoint is not None else delivery.url or ""
        return Message(
            id=delivery.id,
            receiver=delivery.endpoint_id or url,
            url=url,
            body=delivery.body,
            signers=_signers(endpoint) if endpoint is not None else [self._secret],
            due_at=delivery.next_attempt_at,
        )


def pause_after(attempts: int, retry_after: timedelta | None) -> timedelta:
    """How long to wait after that many attempts: by the schedule, longer if the receiver asks for it, up to a day."""
    pause = PAUSES[attempts - 1] * _random.uniform(1 - JITTER, 1 + JITTER)
    return min(max(pause, retry_after or pause), LONGEST_PAUSE)


def _signers(endpoint: Endpoint) -> list[str]:
    """The secret, and the one before it while that is still valid."""
    until = endpoint.previous_secret_until
    if endpoint.previous_secret is not None and until is not None and until > now():
        return [endpoint.secret, endpoint.previous_secret]
    return [endpoint.secret]
