"""The outbox: messages are written in the transaction of what they tell of, and sent by the deliverer afterwards."""

from typing import Any

from sqlmodel import Session, col, select
from uuid6 import uuid7

from app.jobs.models import Job
from app.queries import now
from app.webhooks.messages import job_body
from app.webhooks.models import Delivery, Endpoint


class Outbox:
    """Tells the endpoints of one host, and the callback of a job that has one."""

    def __init__(self, host: str) -> None:
        self._host = host

    def __call__(self, session: Session, event: str, job: Job, details: dict[str, Any]) -> None:
        """Write one delivery per receiver."""
        enabled = select(Endpoint).where(col(Endpoint.host) == self._host, col(Endpoint.disabled_at).is_(None))
        endpoints = session.execute(enabled).scalars().all()
        listening = [endpoint.id for endpoint in endpoints if not endpoint.events or event in endpoint.events]
        callback = job.request.get("callback_url")
        if not listening and callback is None:
            return
        body = job_body(event, job, details)
        for endpoint_id in listening:
            session.add(new_delivery(self._host, event, body, endpoint_id=endpoint_id, job_id=job.id))
        if callback is not None:
            session.add(new_delivery(self._host, event, body, url=callback, job_id=job.id))


def new_delivery(
    host: str,
    event: str,
    body: str,
    *,
    endpoint_id: str | None = None,
    url: str | None = None,
    job_id: str | None = None,
) -> Delivery:
    """A message that is due at once."""
    at = now()
    return Delivery(
        id=f"msg_{uuid7()}",
        host=host,
        endpoint_id=endpoint_id,
        url=url,
        job_id=job_id,
        type=event,
        body=body,
        next_attempt_at=at,
        created_at=at,
    )
