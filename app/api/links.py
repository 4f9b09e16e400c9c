"""OpenAPI links: which operations take what an answer gave. The same ways on as in every answer's own ``links``.

Swagger UI shows them beside the answer; generated scenarios follow them (``tests/fuzz/scenarios.py``).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class WayOn:
    """From an answer of a schema to operations: each parameter of their paths by its place in the answer."""

    schema: str
    takes: Mapping[str, str]
    operations: tuple[str, ...]

    def links(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """The link objects by operation."""
        parameters = {name: f"$response.body#/{place}" for name, place in self.takes.items()}
        for operation in self.operations:
            yield operation, {"operationId": operation, "parameters": parameters}


_ONE_JOB = ("get_job", "list_job_events", "cancel_job", "retry_job")
_ONE_BACKUP = (
    "get_backup", "get_backup_contents", "get_backup_logs", "get_backup_results", "validate_backup", "pin_backup",
    "unpin_backup", "delete_backup",
)  # fmt: skip
_ONE_INSTANCE = (
    "get_preflight", "stop_instance", "start_instance", "back_up_instance", "list_backups", "restore_instance",
    "accept_outstanding_restore", "get_policy", "set_policy", "get_instance_statistics", "get_migration",
    "migrate_instance", "move_storage", "rebuild_history", "wake_stack", "put_stack_to_sleep",
)  # fmt: skip
_ONE_WEBHOOK = (
    "get_webhook", "change_webhook", "delete_webhook", "list_webhook_deliveries", "rotate_webhook_secret",
    "test_webhook",
)  # fmt: skip
_WAYS_ON = (
    WayOn("JobView", {"job_id": "id"}, _ONE_JOB),
    WayOn("JobView", {"name": "instance_name"}, ("get_instance",)),
    WayOn("JobView", {"name": "instance_name", "backup_id": "backup"}, ("get_backup",)),
    # A list has a link from its first, which is the newest: an expression names one place.
    WayOn("JobPage", {"job_id": "jobs/0/id"}, ("get_job",)),
    WayOn("InstanceList", {"name": "instances/0/name"}, ("get_instance", "list_backups")),
    WayOn("InstanceView", {"name": "name"}, _ONE_INSTANCE),
    WayOn("InstanceView", {"job_id": "active_job"}, ("get_job",)),
    WayOn("InstanceView", {"name": "name", "backup_id": "last_proven_backup"}, ("get_backup",)),
    WayOn("BackupList", {"name": "backups/0/instance_name", "backup_id": "backups/0/id"}, ("get_backup",)),
    WayOn("BackupView", {"name": "instance_name", "backup_id": "id"}, _ONE_BACKUP),
    WayOn("BackupDetail", {"name": "instance_name", "backup_id": "id"}, _ONE_BACKUP),
    WayOn("WebhookPage", {"webhook_id": "webhooks/0/id"}, ("get_webhook",)),
    WayOn("WebhookView", {"webhook_id": "id"}, _ONE_WEBHOOK),
    WayOn("WebhookWithSecret", {"webhook_id": "id"}, _ONE_WEBHOOK),
    WayOn(
        "DeliveryPage",
        {"webhook_id": "deliveries/0/webhook_id", "delivery_id": "deliveries/0/id"},
        ("replay_webhook_delivery",),
    ),
    WayOn("DeliveryView", {"webhook_id": "webhook_id", "delivery_id": "id"}, ("replay_webhook_delivery",)),
    WayOn("DeliveryView", {"job_id": "job_id"}, ("get_job",)),
)


def add_links(document: dict[str, Any]) -> None:
    """Write each link once, among the components, and point to it from the answers."""
    components = document["components"].setdefault("links", {})
    pointers: dict[str, dict[str, Any]] = {}
    for way in _WAYS_ON:
        for operation, link in way.links():
            name = f"{way.schema}.{operation}"
            components[name] = link
            of_schema = pointers.setdefault(f"#/components/schemas/{way.schema}", {})
            of_schema[operation] = {"$ref": f"#/components/links/{name}"}
    for answer in _answers(document):
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        if (found := pointers.get(schema.get("$ref"))) is not None:
            answer["links"] = found


def _answers(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for operations in document["paths"].values():
        for operation in operations.values():
            yield from operation["responses"].values()
