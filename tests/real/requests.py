"""Requests to a real cluster's API server as its administrator: just enough to bring it up and take it down."""

import http.client
import json
import ssl
from typing import Any

from tests.real.slot import Slot

_SECONDS = 10


def answers(slot: Slot, path: str) -> bool:
    """Whether the server answers a GET with 200."""
    try:
        return _request(slot, "GET", path)[0] == 200
    except (OSError, http.client.HTTPException):
        return False


def get(slot: Slot, path: str) -> Any:
    """The parsed answer of a GET; None when it is not 200 or nobody answers."""
    try:
        status, body = _request(slot, "GET", path)
    except (OSError, http.client.HTTPException):
        return None
    return json.loads(body) if status == 200 else None


def apply(slot: Slot, path: str, manifest: dict[str, Any]) -> bool:
    """Server-side apply of one object; whether it was accepted."""
    query = "?fieldManager=tests-real&force=true"
    try:
        status, _ = _request(slot, "PATCH", path + query, manifest, "application/apply-patch+yaml")
    except (OSError, http.client.HTTPException):
        return False
    return 200 <= status < 300


def _request(
    slot: Slot, method: str, path: str, body: Any = None, content_type: str = "application/json"
) -> tuple[int, bytes]:
    pki = slot.directory / "pki"
    context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
    context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
    connection = http.client.HTTPSConnection(
        slot.node_address, slot.record().api_port, context=context, timeout=_SECONDS
    )
    try:
        data = None if body is None else json.dumps(body).encode()
        connection.request(method, path, data, {"Content-Type": content_type})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()
