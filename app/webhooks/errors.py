"""The errors of webhooks that reach a user."""

from app.errors import ServiceError


class WebhookNotFound(ServiceError):
    code, status, title = "webhook-not-found", 404, "Webhook not found"


class DeliveryNotFound(ServiceError):
    code, status, title = "delivery-not-found", 404, "Delivery not found"


class WebhookAddressRefused(ServiceError):
    code, status, title = "webhook-address-refused", 422, "Nothing is sent to this address"


class WebhookDisabled(ServiceError):
    code, status, title = "webhook-disabled", 409, "The webhook is disabled"
