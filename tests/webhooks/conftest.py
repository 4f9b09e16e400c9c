"""A receiver, and everything that sends to it, over a real SQLite file."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest
from sqlmodel import select

from app.db import Database
from app.jobs.models import Job
from app.jobs.repository import JobStore
from app.queries import now
from app.webhooks.addresses import Addresses
from app.webhooks.deliverer import Deliverer
from app.webhooks.models import Delivery, Endpoint
from app.webhooks.outbox import Outbox
from app.webhooks.queue import DeliveryQueue
from app.webhooks.sending import Sender
from app.webhooks.signing import new_secret
from app.webhooks.store import WebhookStore
from tests.waiting import eventually
from tests.webhooks.receiver import Receiver, listening


@dataclass
class Office:
    """The jobs of host ``here``, and the post that goes out because of them."""

    database: Database
    addresses: Addresses
    secret: str

    def __post_init__(self) -> None:
        self.jobs = JobStore(self.database, "here", Outbox("here"))
        self.webhooks = WebhookStore(self.database, "here", self.addresses)
        self.queue = DeliveryQueue(self.database, "here", self.secret)

    def delivering(self, timeout_seconds: float = 5) -> AbstractAsyncContextManager[Deliverer]:
        """The loop that sends."""
        return Deliverer(DeliveryQueue(self.database, "here", self.secret), Sender(self.addresses, timeout_seconds))

    async def endpoint(self, url: str, *events: Any) -> Endpoint:
        """A registered receiver."""
        return await self.webhooks.create(url, "", events)

    async def job(self, instance: str = "demo", **request: Any) -> Job:
        """A job that has begun."""
        job = await self.jobs.create("stop", instance, request, now() + timedelta(seconds=60))
        return await self.jobs.begin_attempt(job.id)

    async def deliveries(self) -> list[Delivery]:
        """Every delivery, oldest first."""
        return await self.database.read(
            lambda session: list(session.execute(select(Delivery).order_by(Delivery.id)).scalars().all())
        )

    async def settled(self, status: str, attempts: int = 1) -> Delivery:
        """The only delivery, once it has that status after that many attempts."""

        async def is_so() -> bool:
            (delivery,) = await self.deliveries()
            return (delivery.status, delivery.attempts) == (status, attempts)

        await eventually(is_so, 15)
        return (await self.deliveries())[0]


@pytest.fixture
async def office(database_url: str) -> AsyncIterator[Office]:
    """Nothing in it yet."""
    database = Database(database_url)
    await database.migrate()
    yield Office(database, Addresses([]), new_secret())
    await database.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """A receiver that is up."""
    async with listening(Receiver()) as up:
        yield up
