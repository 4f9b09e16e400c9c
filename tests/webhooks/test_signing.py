"""Signatures, checked by the reference implementation of Standard Webhooks."""

import base64
from datetime import timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from app.queries import now
from app.webhooks.signing import new_secret, signed_headers

BODY = '{"type":"job.succeeded"}'


def test_a_secret_is_32_random_bytes() -> None:
    """In the form the specification asks for."""
    first, second = new_secret(), new_secret()
    assert first != second
    assert len(base64.b64decode(first.removeprefix("whsec_"), validate=True)) == 32


def test_the_reference_implementation_verifies_a_message() -> None:
    """Headers and body as they are sent."""
    secret = new_secret()
    headers = signed_headers([secret], "msg_1", now(), BODY)
    assert Webhook(secret).verify(BODY, headers) == {"type": "job.succeeded"}


def test_each_of_two_secrets_verifies_the_same_message() -> None:
    """While a secret is replaced, receivers may know the new one or still the old one."""
    new, old = new_secret(), new_secret()
    headers = signed_headers([new, old], "msg_1", now(), BODY)
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (new, old):
        assert Webhook(secret).verify(BODY, headers)


@pytest.mark.parametrize("header", ["webhook-id", "webhook-timestamp"])
def test_the_signature_is_over_id_and_time_too(header: str) -> None:
    """So that a message can be neither renamed nor kept for later."""
    secret = new_secret()
    headers = signed_headers([secret], "msg_1", now(), BODY)
    later = signed_headers([secret], "msg_2", now() + timedelta(seconds=7), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY, headers | {header: later[header]})


def test_another_body_is_not_verified() -> None:
    """Not even one that means the same."""
    secret = new_secret()
    headers = signed_headers([secret], "msg_1", now(), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY.replace(":", ": "), headers)
