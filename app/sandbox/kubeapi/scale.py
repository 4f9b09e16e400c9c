"""The scale subresource: one number of replicas, whatever the kind."""

from typing import Any

from app.sandbox.kubeapi.failures import Flaw, bad_request, invalid
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, at, mapping

_IDENTITY = ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")


def scale_of(kind: Kind, obj: Object) -> Object:
    labels = at(obj, "spec.selector.matchLabels") or {}
    if kind.resource == "replicationcontrollers":
        labels = at(obj, "spec.selector") or {}
    return {
        "kind": "Scale",
        "apiVersion": "autoscaling/v1",
        "metadata": {field: obj["metadata"][field] for field in _IDENTITY if field in obj["metadata"]},
        "spec": {"replicas": at(obj, "spec.replicas") or 0},
        "status": {
            "replicas": at(obj, "status.replicas") or 0,
            "selector": ",".join(f"{key}={value}" for key, value in labels.items()),
        },
    }


def patched_scale(scale: Object, wanted: Any) -> Object:
    """``wanted`` if it is a scale at all; keeps the resourceVersion it names."""
    replicas = at(wanted, "spec.replicas") if isinstance(wanted, dict) else None
    if isinstance(replicas, bool) or not isinstance(replicas, int):
        raise bad_request("spec.replicas: must be a number")
    if replicas < 0:
        flaw = Flaw.invalid("spec.replicas", replicas, "must be greater than or equal to 0")
        raise invalid("Scale", "autoscaling", str(scale["metadata"].get("name", "")), [flaw])
    version = mapping(wanted, "metadata").get("resourceVersion")
    return {**scale, "spec": {"replicas": replicas}, "metadata": {**scale["metadata"], "resourceVersion": version}}


def with_scale(obj: Object, scale: Object) -> Object:
    metadata = dict(obj["metadata"])
    if scale["metadata"].get("resourceVersion"):
        metadata["resourceVersion"] = scale["metadata"]["resourceVersion"]
    return {**obj, "metadata": metadata, "spec": {**mapping(obj, "spec"), **scale["spec"]}}
