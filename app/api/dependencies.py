"""What routes ask for: the running services, what the caller prefers, and a body without fields not built yet."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from fastapi import Depends, Header, Request, Response

from app.api.replay import KeysInFlight, check_replay, request_key
from app.api.schemas import JobView
from app.concurrency import Shared
from app.errors import NotSupported
from app.jobs.models import Job
from app.jobs.repository import RequestKey
from app.jobs.states import ENDED

if TYPE_CHECKING:
    from app.access.audit import AuditStore
    from app.access.tokens import TokenStore
    from app.api.readiness import Readiness
    from app.db import Database
    from app.jobs.claim import Claim
    from app.jobs.reconciler import Reconciler
    from app.jobs.repository import JobStore
    from app.jobs.statistics import Statistics
    from app.settings import Settings
    from app.webhooks.store import WebhookStore
    from app.workflows.service import Operations

#: How soon a client should look at an unfinished job again (integer seconds).
RETRY_AFTER_SECONDS = 5

_WAIT = re.compile(r"^\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:;.*)?$", re.IGNORECASE)


@dataclass(frozen=True)
class Services:
    """Everything a running service consists of, made by the lifespan."""

    settings: "Settings"
    database: "Database"
    claim: "Claim"
    store: "JobStore"
    reconciler: "Reconciler"
    operations: "Operations"
    statistics: "Statistics"
    tokens: "TokenStore"
    audit: "AuditStore"
    webhooks: "WebhookStore"
    keys_in_flight: KeysInFlight = field(default_factory=KeysInFlight)
    #: It runs the power driver's programs, so those who ask at the same time are answered by one look.
    readiness: "Shared[Readiness]" = field(default_factory=Shared)


async def running_services(request: Request) -> Services:
    """The services of the application that answers; a coroutine, or each request would wait for a thread."""
    services: Services = request.app.state.services
    return services


Running = Annotated[Services, Depends(running_services)]


@dataclass(frozen=True)
class AcceptedAnswer:
    """How an accepted job is answered: at once with 202, or when it has ended, if the caller prefers to wait."""

    services: Services
    response: Response
    key: RequestKey | None
    wait_seconds: int | None

    async def to(self, submit: Callable[["Operations"], Awaitable[Job]]) -> JobView:
        """Submit, unless the caller's key has done so before, and give the job; sets status and headers."""
        job = await self._accepted(submit)
        if self.wait_seconds is not None:
            seconds = min(self.wait_seconds, self.services.settings.server.max_wait_seconds)
            job = await self.services.reconciler.wait(job.id, seconds)
            self.response.headers["Preference-Applied"] = f"wait={seconds}"
        self.response.headers["Location"] = f"/jobs/{job.id}"
        if job.status in ENDED and self.wait_seconds is not None:
            self.response.status_code = 200
        else:
            self.response.headers["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return JobView.of(job)

    async def _accepted(self, submit: Callable[["Operations"], Awaitable[Job]]) -> Job:
        async with self.services.keys_in_flight.accepting(self.key):
            if self.key is not None:
                job = await self.services.store.find_by_key(self.key.key)
                if job is not None:
                    check_replay(job, self.key)
                    self.response.headers["Idempotency-Replayed"] = "true"
                    return job
            return await submit(self.services.operations.under(self.key))


async def accepted_answer(
    services: Running,
    response: Response,
    key: Annotated[RequestKey | None, Depends(request_key)],
    prefer: Annotated[
        str | None, Header(description="RFC 7240: `wait=N` waits up to N seconds for the job's end.")
    ] = None,
) -> AcceptedAnswer:
    """What RFC 7240 lets the caller prefer; what cannot be understood is ignored, as it says."""
    found = [match for part in (prefer or "").split(",") if (match := _WAIT.match(part))]
    return AcceptedAnswer(services, response, key, int(found[0][1]) if found else None)


Accepted = Annotated[AcceptedAnswer, Depends(accepted_answer)]


@dataclass(frozen=True)
class NotBuilt:
    """A field of the API that is not built yet: the values that work already, and what to use instead."""

    path: tuple[str, ...]
    working: tuple[Any, ...]
    instead: str


NOT_BUILT = (
    NotBuilt(
        ("backup", "validate"), ("deep", "quick"), "Leave it out: 'deep' proves all that can be without a restore."
    ),
)


async def refuse_not_built(request: Request) -> None:
    """Refuse what is part of the API but not built yet: ignoring it would break a promise silently."""
    document = await request.json() if await request.body() else {}
    for entry in NOT_BUILT:
        value = _at(document, entry.path)
        if value is not None and value not in entry.working:
            field = ".".join(entry.path)
            raise NotSupported(f"{field} with this value is not built yet", remedy=entry.instead, field=field)


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(document, dict):
            return None
        document = document.get(part)
    return document
