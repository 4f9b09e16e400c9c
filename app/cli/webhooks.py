"""Receivers of messages about jobs: register, look, test, replay."""

from typing import Annotated, Any

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.options import AsJson, Url
from app.cli.printing import print_json, print_table

webhooks_app = typer.Typer(help="Register receivers of signed messages about jobs, and see what was sent to them.")
WebhookId = Annotated[str, typer.Argument(metavar="ID", help="The webhook's id.", show_default=False)]
Events = Annotated[
    list[str],
    typer.Option(
        "--event", metavar="TYPE", help="Only this type, e.g. job.failed; repeatable.", default_factory=list,
        show_default=False,
    ),
]  # fmt: skip
Document = dict[str, Any]


@webhooks_app.command("create")
def create_webhook(
    target: Annotated[str, typer.Argument(metavar="ADDRESS", help="Where to send.", show_default=False)],
    *,
    events: Events,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Register a receiver and print the secret it verifies messages with; it cannot be shown again."""
    body: Document = {"url": target, "events": events, "description": description}
    webhook = ServiceClient(url).post("/webhooks", body)
    if as_json:
        print_json(webhook)
    else:
        _print_secret(webhook)


@webhooks_app.command("list")
def list_webhooks(*, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show the receivers."""
    page = ServiceClient(url).get("/webhooks", page_size=200)
    if as_json:
        print_json(page)
        return
    rows = [
        (w["id"], w["url"], ", ".join(w["events"]) or "all", "yes" if w["enabled"] else f"no: {w['disabled_reason']}")
        for w in page["webhooks"]
    ]
    print_table(("ID", "ADDRESS", "EVENTS", "ENABLED"), rows)


@webhooks_app.command()
def change(
    webhook_id: WebhookId,
    *,
    target: Annotated[str | None, typer.Option("--address", help="Send there from now on.")] = None,
    events: Events,
    enabled: Annotated[
        bool | None, typer.Option("--enable/--disable", help="Send, or keep what is due.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Change a receiver; enabling it sends at once what was waiting."""
    asked: Document = {"url": target, "events": events or None, "enabled": enabled}
    body = {key: value for key, value in asked.items() if value is not None}
    if not body:
        raise typer.BadParameter("say what to change: --address, --event, --enable or --disable")
    webhook = ServiceClient(url).patch(f"/webhooks/{webhook_id}", body)
    if as_json:
        print_json(webhook)
    else:
        typer.echo(f"{webhook['id']}: {webhook['url']} is {'enabled' if webhook['enabled'] else 'disabled'}")


@webhooks_app.command("delete")
def delete_webhook(webhook_id: WebhookId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Forget a receiver, and every message to it."""
    ServiceClient(url).delete(f"/webhooks/{webhook_id}")
    if as_json:
        print_json({"id": webhook_id, "deleted": True})
    else:
        typer.echo(f"{webhook_id} is deleted")


@webhooks_app.command()
def rotate(webhook_id: WebhookId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Make a new secret and print it; for a day the old one signs along."""
    webhook = ServiceClient(url).post(f"/webhooks/{webhook_id}/rotate-secret")
    if as_json:
        print_json(webhook)
    else:
        _print_secret(webhook)


@webhooks_app.command("test")
def send_test(webhook_id: WebhookId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Send a receiver a message that means nothing."""
    delivery = ServiceClient(url).post(f"/webhooks/{webhook_id}/test")
    if as_json:
        print_json(delivery)
    else:
        typer.echo(f"{delivery['id']} is on its way: kecs-state webhooks deliveries {webhook_id}")


@webhooks_app.command()
def deliveries(
    webhook_id: WebhookId,
    *,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most this many.")] = 20,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show what was sent to a receiver or waits to be, newest first."""
    page = ServiceClient(url).get(f"/webhooks/{webhook_id}/deliveries", page_size=limit)
    if as_json:
        print_json(page)
        return
    rows = [
        (d["id"], d["type"], d["status"], d["attempts"], d["created_at"][:19], d["last_error"] or d["last_status"])
        for d in page["deliveries"]
    ]
    print_table(("ID", "TYPE", "STATUS", "ATTEMPTS", "CREATED (UTC)", "LAST ANSWER"), rows)


@webhooks_app.command()
def replay(
    webhook_id: WebhookId,
    delivery_id: Annotated[str, typer.Argument(metavar="DELIVERY", help="The delivery's id.", show_default=False)],
    *,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Send a message once more, with the same id."""
    delivery = ServiceClient(url).post(f"/webhooks/{webhook_id}/deliveries/{delivery_id}/replay")
    if as_json:
        print_json(delivery)
    else:
        typer.echo(f"{delivery['id']} is {delivery['status']}")


def _print_secret(webhook: Document) -> None:
    """The secret alone on standard output, so that a script can take it."""
    typer.echo(f"{webhook['id']}: messages to {webhook['url']} are signed with this secret, shown only now:", err=True)
    typer.echo(webhook["secret"])
