"""Webhooks: who is told what happens to jobs, and what became of each message."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Response
from pydantic import BaseModel, Field

from app.api.dependencies import Running
from app.api.errors import BodyTooLarge, InvalidPageToken, InvalidRequest, MalformedBody, UnsupportedMediaType
from app.api.paging import Page, PageRequest
from app.api.problems import declared
from app.api.replay import refuse_key
from app.db import DatabaseError
from app.errors import NotSupported
from app.webhooks.addresses import MAX_URL_CHARACTERS, redacted_url
from app.webhooks.errors import DeliveryNotFound, WebhookAddressRefused, WebhookDisabled, WebhookNotFound
from app.webhooks.messages import TRIAL_TYPE, EventType, JobMessage, TrialMessage
from app.webhooks.models import Delivery, Endpoint
from app.workflows.requests import StrictModel

router = APIRouter(tags=["webhooks"], dependencies=[Depends(refuse_key)])

_BODY = (MalformedBody, BodyTooLarge, UnsupportedMediaType, InvalidRequest, NotSupported, WebhookAddressRefused)
_ONE = (WebhookNotFound, InvalidRequest, NotSupported, DatabaseError)

Url = Annotated[
    str,
    Field(
        max_length=MAX_URL_CHARACTERS,
        description="http or https, on this machine or on a host that the settings allow; user and password in it are "
        "sent as basic auth and never shown again.",
        examples=["http://127.0.0.1:8080/kecs"],
    ),
]
Description = Annotated[str, Field(max_length=1024, description="For people.")]
Events = Annotated[list[EventType], Field(max_length=len(EventType), description="What to send; empty means all.")]


class NewWebhook(StrictModel):
    """A receiver to register."""

    url: Url
    description: Description = ""
    events: Events = []


class WebhookChanges(StrictModel):
    """What to change; what is left out stays."""

    url: Url = ""
    description: Description = ""
    events: Events = []
    enabled: bool = Field(default=True, description="`false` keeps what is due until it is `true` again.")


class WebhookView(BaseModel):
    """One receiver."""

    id: str = Field(description="UUIDv7, so ids sort by time.")
    url: str = Field(description="Without user and password.")
    description: str
    events: list[EventType]
    enabled: bool
    disabled_at: datetime | None
    disabled_reason: str
    previous_secret_until: datetime | None = Field(description="Until then the secret before this one signs along.")
    created_at: datetime
    links: dict[str, str]

    @classmethod
    def of(cls, endpoint: Endpoint) -> "WebhookView":
        """The document of a row."""
        return cls.model_validate(_fields(endpoint))


class WebhookWithSecret(WebhookView):
    """One receiver, with what it needs to verify messages."""

    secret: str = Field(description="Shown this once.")

    @classmethod
    def of(cls, endpoint: Endpoint) -> "WebhookWithSecret":
        """The document of a row."""
        return cls.model_validate(_fields(endpoint) | {"secret": endpoint.secret})


class WebhookPage(Page):
    """Receivers, newest first."""

    webhooks: list[WebhookView]


class DeliveryView(BaseModel):
    """One message to one receiver."""

    id: str = Field(description="The `webhook-id`, the same in every attempt.")
    webhook_id: str
    job_id: str | None
    type: str = Field(examples=["job.succeeded"])
    status: str = Field(description="`pending`, `delivered` or `failed`.")
    attempts: int
    next_attempt_at: datetime | None = Field(description="Null unless pending.")
    last_status: int | None = Field(description="HTTP status of the last answer.")
    last_error: str
    created_at: datetime
    delivered_at: datetime | None
    links: dict[str, str]

    @classmethod
    def of(cls, delivery: Delivery) -> "DeliveryView":
        """The document of a row."""
        webhook = f"/webhooks/{delivery.endpoint_id}"
        links = {"webhook": webhook, "replay": f"{webhook}/deliveries/{delivery.id}/replay"}
        if delivery.job_id:
            links["job"] = f"/jobs/{delivery.job_id}"
        fields = delivery.model_dump() | {"webhook_id": delivery.endpoint_id, "links": links}
        if delivery.status != "pending":
            fields["next_attempt_at"] = None
        return cls.model_validate(fields)


class DeliveryPage(Page):
    """Messages to one receiver, newest first."""

    deliveries: list[DeliveryView]


class MessageHeaders(BaseModel):
    """What comes with every message."""

    webhook_id: str = Field(description="The same in every attempt.")
    webhook_timestamp: int = Field(description="Unix seconds of this attempt.")
    webhook_signature: str = Field(description="`v1,` and base64; several apart by spaces.")


@router.post("/webhooks", status_code=201, responses=declared(*_BODY, DatabaseError))
async def create_webhook(services: Running, body: NewWebhook, response: Response) -> WebhookWithSecret:
    """Register a receiver. The secret in the answer is not shown again."""
    endpoint = await services.webhooks.create(body.url, body.description, body.events)
    response.headers["Location"] = f"/webhooks/{endpoint.id}"
    return WebhookWithSecret.of(endpoint)


@router.get("/webhooks", responses=declared(InvalidRequest, InvalidPageToken, DatabaseError))
async def list_webhooks(services: Running, wanted: Annotated[PageRequest, Query()]) -> WebhookPage:
    """Receivers, newest first."""
    found = await services.webhooks.list(before=wanted.before, limit=wanted.limit + 1)
    page = [WebhookView.of(endpoint) for endpoint in found[: wanted.limit]]
    more = page[-1].id if len(found) > wanted.limit else None
    return WebhookPage(webhooks=page, **wanted.next_page("/webhooks", more))


@router.get("/webhooks/{webhook_id}", responses=declared(*_ONE))
async def get_webhook(webhook_id: str, services: Running) -> WebhookView:
    """One receiver."""
    return WebhookView.of(await services.webhooks.get(webhook_id))


@router.patch("/webhooks/{webhook_id}", responses=declared(*_ONE, *_BODY))
async def change_webhook(webhook_id: str, services: Running, body: WebhookChanges) -> WebhookView:
    """Change a receiver. A new address, or enabling it again, sends at once what was waiting."""
    return WebhookView.of(await services.webhooks.change(webhook_id, body.model_dump(exclude_unset=True)))


@router.delete("/webhooks/{webhook_id}", status_code=204, response_class=Response, responses=declared(*_ONE))
async def delete_webhook(webhook_id: str, services: Running) -> None:
    """Forget a receiver, and every message to it."""
    await services.webhooks.delete(webhook_id)


@router.post("/webhooks/{webhook_id}/rotate-secret", responses=declared(*_ONE))
async def rotate_webhook_secret(webhook_id: str, services: Running) -> WebhookWithSecret:
    """Make a new secret, shown this once; for 24 hours every message is signed with the old one as well."""
    return WebhookWithSecret.of(await services.webhooks.rotate_secret(webhook_id))


@router.post("/webhooks/{webhook_id}/test", status_code=202, responses=declared(*_ONE, WebhookDisabled))
async def test_webhook(webhook_id: str, services: Running) -> DeliveryView:
    """Send a `webhook.test`, whatever the receiver has subscribed to."""
    return DeliveryView.of(await services.webhooks.send_test(webhook_id))


@router.get("/webhooks/{webhook_id}/deliveries", responses=declared(*_ONE, InvalidPageToken))
async def list_webhook_deliveries(
    webhook_id: str, services: Running, wanted: Annotated[PageRequest, Query()]
) -> DeliveryPage:
    """What was sent to the receiver or waits to be, newest first."""
    found = await services.webhooks.deliveries(webhook_id, before=wanted.before, limit=wanted.limit + 1)
    page = [DeliveryView.of(delivery) for delivery in found[: wanted.limit]]
    more = page[-1].id if len(found) > wanted.limit else None
    return DeliveryPage(deliveries=page, **wanted.next_page(f"/webhooks/{webhook_id}/deliveries", more))


@router.post(
    "/webhooks/{webhook_id}/deliveries/{delivery_id}/replay",
    status_code=202,
    responses=declared(*_ONE, DeliveryNotFound, WebhookDisabled),
)
async def replay_webhook_delivery(webhook_id: str, delivery_id: str, services: Running) -> DeliveryView:
    """Send a message once more, byte for byte and with the same id."""
    return DeliveryView.of(await services.webhooks.replay(webhook_id, delivery_id))


def describe_messages(messages: APIRouter) -> None:
    """Describe, in OpenAPI, the requests that receivers get."""

    async def receive_job_message(body: JobMessage, headers: Annotated[MessageHeaders, Header()]) -> None:
        """Something has happened to a job. Any 2xx means it was heard."""

    async def receive_test_message(body: TrialMessage, headers: Annotated[MessageHeaders, Header()]) -> None:
        """A message asked for by `POST /webhooks/{webhook_id}/test`. Any 2xx means it was heard."""

    answers: dict[int | str, dict[str, Any]] = {
        "410": {"description": "Disables the webhook; nothing more is sent."},
        "4XX": {"description": "Like every other answer and none at all: tried again, for about three days."},
    }
    for event in (*EventType, TRIAL_TYPE):
        messages.add_api_route(
            event,
            receive_test_message if event == TRIAL_TYPE else receive_job_message,
            methods=["POST"],
            operation_id=f"receive_{event.replace('.', '_')}",
            summary=event,
            status_code=204,
            responses=answers,
            tags=["webhooks"],
        )


def _fields(endpoint: Endpoint) -> dict[str, Any]:
    own = f"/webhooks/{endpoint.id}"
    fields = endpoint.model_dump(exclude={"secret", "previous_secret", "url"})
    return fields | {
        "url": redacted_url(endpoint.url),
        "enabled": endpoint.disabled_at is None,
        "links": {"self": own, "deliveries": f"{own}/deliveries"},
    }
