"""The record of requests that changed something."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from app.access.models import AuditEvent
from app.api.dependencies import Running
from app.api.errors import InvalidPageToken, InvalidRequest
from app.api.paging import Page, PageRequest
from app.api.problems import declared
from app.db import DatabaseError

router = APIRouter(tags=["service"])


class AuditEventView(BaseModel):
    """A request that changes something, and how it was answered."""

    id: int
    at: datetime
    caller: str = Field(description="Name of the token, or `local` for a caller without one.", examples=["ci", "local"])
    method: str
    path: str
    status: int = Field(description="HTTP status of the answer.")

    @classmethod
    def of(cls, event: AuditEvent) -> "AuditEventView":
        """The document of a row."""
        return cls.model_validate(event.model_dump())


class AuditPage(Page):
    """Audit events, newest first."""

    events: list[AuditEventView]


@router.get("/audit", responses=declared(InvalidRequest, InvalidPageToken, DatabaseError))
async def list_audit_events(services: Running, wanted: Annotated[PageRequest, Query()]) -> AuditPage:
    """Who asked for what, newest first. Where tokens are used this needs the scope `operate`."""
    before = wanted.before
    if before is not None and not (before.isascii() and before.isdigit() and len(before) < 19):
        raise InvalidPageToken("the page token is not one of this list's", remedy="Begin again without page_token.")
    events = await services.audit.list(before=int(before) if before else None, limit=wanted.limit + 1)
    page = [AuditEventView.of(event) for event in events[: wanted.limit]]
    more = str(page[-1].id) if len(events) > wanted.limit else None
    return AuditPage(events=page, **wanted.next_page("/audit", more))
