"""The API server: refuses, is slow, breaks off, forgets, lies."""

from typing import Any, Literal

from tests.faults.rows import Fault

IDENTITY = "/api/v1/namespaces/kube-system"
BACKUPS = "/apis/velero.io/v1/namespaces/velero/backups"
FORWARD = "*/portforward"


def rule(how: str, path: str, method: str = "GET", **more: Any) -> dict[str, Any]:
    """Switches with one rule for the API server."""
    return {"api": [{"how": how, "path": path, "method": method, **more}]}


def identify(what: str, switches: dict[str, Any], code: str = "", **more: Any) -> Fault:
    """The cheapest operation: a start of what runs only asks which cluster it is."""
    ends: Literal["succeeded", "failed"] = "failed" if code else "succeeded"
    return Fault("API server", what, switches, operation="start", ends=ends, code=code, **more)


def backup(what: str, switches: dict[str, Any], code: str = "", **more: Any) -> Fault:
    """A backup with the API server in trouble."""
    return Fault("API server", what, switches, ends="failed" if code else "succeeded", code=code, **more)


ROWS = [
    identify("401, as after a rotation of certificates", rule("status", IDENTITY, code=401), "kubernetes-unauthorized"),
    identify("403", rule("status", IDENTITY, code=403), "kubernetes-forbidden"),
    identify("429 once", rule("status", IDENTITY, code=429, times=1)),
    identify("500 twice", rule("status", IDENTITY, code=500, times=2)),
    identify("500 for good", rule("status", IDENTITY, code=500), "kubernetes-unavailable"),
    identify("connection reset once", rule("reset", IDENTITY, times=1)),
    identify("connection reset for good", rule("reset", IDENTITY), "kubernetes-unavailable"),
    identify("no answer", rule("hang", IDENTITY), "step-timeout", options={"timeout_seconds": 1}),
    identify("half an answer once", rule("half", IDENTITY, times=1)),
    identify("a sign-in page instead of an answer", rule("garbage", IDENTITY), "kubernetes-unavailable"),
    backup("410 in the midst of the watch", rule("expired", BACKUPS, "WATCH", times=2)),
    backup("half a line in the watch", rule("half-line", BACKUPS, "WATCH", times=2)),
    backup("a watch that is reset", rule("reset", BACKUPS, "WATCH", times=2)),
    backup("a watch that never says anything", rule("hang", BACKUPS, "WATCH")),
    backup("500 to the Backup that is posted", rule("status", BACKUPS, "POST", times=1)),
    backup("the Backup is made, the answer lost", rule("lost", BACKUPS, "POST", times=1)),
    backup("403 to one list of the inventory", rule("status", "/api/v1/secrets", code=403), "kubernetes-forbidden"),
    backup("one list of the inventory is cut off", rule("half", "/api/v1/configmaps", times=1)),
    backup(
        "409 while Velero is woken",
        rule("status", "*/deployments/velero", "PATCH", code=409, reason="Conflict", times=1),
        "kubernetes-conflict",
    ),
    backup("a port-forward that fails once", rule("status", FORWARD, times=1)),
]
