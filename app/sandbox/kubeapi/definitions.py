"""Custom resource definitions: their status, and the APIService that announces each of their versions."""

from app.sandbox.kubeapi.objects import Object, entries, mapping, timestamp

STORAGE = "customresourcedefinitions.apiextensions.k8s.io"
API_SERVICES = "apiservices.apiregistration.k8s.io"
CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io"


def settle(definition: Object) -> None:
    """Accepts the names and establishes the definition at once, in place; does not repeat what is written already."""
    spec = definition["spec"]
    names = spec["names"]
    names.setdefault("singular", str(names["kind"]).lower())
    names.setdefault("listKind", f"{names['kind']}List")
    spec.setdefault("conversion", {"strategy": "None"})
    status = definition["status"] = dict(mapping(definition, "status"))
    status["acceptedNames"] = names
    stored = [version["name"] for version in entries(spec, "versions") if version.get("storage")]
    status["storedVersions"] = list(dict.fromkeys([*entries(status, "storedVersions"), *stored]))
    known = {condition.get("type") for condition in entries(status, "conditions")}
    added = [
        _condition("NamesAccepted", "NoConflicts", "no conflicts found"),
        _condition("Established", "InitialNamesAccepted", "the initial names have been accepted"),
    ]
    status["conditions"] = [*entries(status, "conditions"), *(one for one in added if one["type"] not in known)]


def _condition(name: str, reason: str, message: str) -> Object:
    return {"type": name, "status": "True", "lastTransitionTime": timestamp(), "reason": reason, "message": message}


def terminating(definition: Object) -> None:
    """Marks a definition whose objects are being deleted, in place."""
    definition["status"] = dict(mapping(definition, "status"))
    condition = _condition("Terminating", "InstanceDeletionInProgress", "CustomResource deletion is in progress")
    definition["status"]["conditions"] = [*entries(definition["status"], "conditions"), condition]


def api_service(group: str, version: str, *, automanaged: str) -> Object:
    """The object that aggregation keeps for a group version served locally; ``group`` is empty for the core."""
    condition = {
        "type": "Available", "status": "True", "lastTransitionTime": timestamp(), "reason": "Local",
        "message": "Local APIServices are always available",
    }  # fmt: skip
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {
            "name": f"{version}.{group}",
            "labels": {"kube-aggregator.kubernetes.io/automanaged": automanaged},
        },
        "spec": {
            "group": group,
            "version": version,
            "groupPriorityMinimum": 1000 if automanaged == "true" else 17000,
            "versionPriority": 100 if automanaged == "true" else 15,
        },
        "status": {"conditions": [condition]},
    }
