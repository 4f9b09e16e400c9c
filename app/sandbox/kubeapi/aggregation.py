"""API groups of servers behind this one. None is ever dialled: such a group is announced, and does not answer."""

from collections.abc import Iterator

from app.sandbox.kubeapi.failures import Failure
from app.sandbox.kubeapi.objects import Object, mapping, timestamp
from app.sandbox.kubeapi.store import Key, Store

STORAGE = "apiservices.apiregistration.k8s.io"


def judge(api_service: Object, store: Store) -> None:
    """Writes into a new or changed APIService whether its server is there, in place."""
    service = mapping(mapping(api_service, "spec"), "service")
    if not service:
        return
    name, namespace = str(service.get("name", "")), str(service.get("namespace", ""))
    if store.get(Key("services", namespace, name)) is None:
        reason, message = "ServiceNotFound", f'service/{name} in "{namespace}" is not present'
    else:
        reason, message = "MissingEndpoints", f'endpoints for service/{name} in "{namespace}" have no addresses'
    condition = {"type": "Available", "status": "False", "reason": reason, "message": message}
    known = mapping(api_service, "status").get("conditions") or [{}]
    if {field: known[0].get(field) for field in condition} != condition:
        api_service["status"] = {"conditions": [{**condition, "lastTransitionTime": timestamp()}]}


def remote_groups(store: Store) -> Iterator[tuple[str, str]]:
    """Group and version of every APIService with a server of its own."""
    for record in store.records(STORAGE):
        spec = mapping(record.obj, "spec")
        if spec.get("service"):
            yield str(spec.get("group", "")), str(spec.get("version", ""))


def refuse_remote(store: Store, path: str) -> None:
    """Raises the 503 of an address below such a group."""
    parts = path.split("/")
    if parts[0] == "apis" and len(parts) >= 3 and (parts[1], parts[2]) in set(remote_groups(store)):
        raise Failure(503, "ServiceUnavailable", "service unavailable")
