"""Webhooks from the command line."""

import json

from tests.api.serving import ServedApi
from tests.cli.commands import command

NOBODY = "http://127.0.0.1:9/hook"


async def test_a_receiver_from_its_registration_to_its_end(api: ServedApi) -> None:
    """The secret alone is printed; the rest is said aside."""
    made = await command(api.url, "webhooks", "create", NOBODY, "--event", "job.failed")
    assert made.code == 0, made.err
    assert made.out.startswith("whsec_")
    (listed,) = json.loads((await command(api.url, "webhooks", "list", "--json")).out)["webhooks"]
    assert (listed["url"], listed["events"], listed["enabled"]) == (NOBODY, ["job.failed"], True)
    rotated = await command(api.url, "webhooks", "rotate", listed["id"])
    assert rotated.out.startswith("whsec_")
    assert rotated.out != made.out
    changed = await command(api.url, "webhooks", "change", listed["id"], "--disable")
    assert "is disabled" in changed.out
    assert (await command(api.url, "webhooks", "delete", listed["id"])).code == 0
    assert (await command(api.url, "webhooks", "list")).out.splitlines()[1:] == []


async def test_what_was_sent_is_shown_and_sent_again(api: ServedApi) -> None:
    """A test message to nobody waits for its next attempt, and can be replayed by hand."""
    webhook = (await api.client.post("/webhooks", json={"url": NOBODY})).json()
    tested = await command(api.url, "webhooks", "test", webhook["id"])
    assert tested.out.startswith("msg_")
    page = json.loads((await command(api.url, "webhooks", "deliveries", webhook["id"], "--json")).out)
    (delivery,) = page["deliveries"]
    assert delivery["type"] == "webhook.test"
    assert delivery["id"] in (await command(api.url, "webhooks", "deliveries", webhook["id"])).out
    assert (await command(api.url, "webhooks", "replay", webhook["id"], delivery["id"])).code == 0


async def test_addresses_that_are_not_allowed_are_named(api: ServedApi) -> None:
    """Exit 1 with the service's own remedy; nothing to change is a usage error."""
    refused = await command(api.url, "webhooks", "create", "http://169.254.169.254/")
    assert (refused.code, "What to do" in refused.err) == (1, True)
    assert (await command(api.url, "webhooks", "change", "some-id")).code == 2


async def test_an_operation_may_call_back(api: ServedApi) -> None:
    """--callback-url is checked at once and never shown again."""
    refused = await command(api.url, "stop", "demo", "--callback-url", "http://169.254.169.254/")
    assert refused.code == 1
    accepted = await command(api.url, "stop", "demo", "--callback-url", "http://u:hunter2@127.0.0.1:9/", "--json")
    assert accepted.code == 0, accepted.err
    assert "hunter2" not in accepted.out
