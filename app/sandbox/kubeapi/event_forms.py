"""The same Event as ``v1`` and as ``events.k8s.io/v1``: only names of fields differ."""

from app.sandbox.kubeapi.objects import Object

_NAMES = {
    "involvedObject": "regarding",
    "message": "note",
    "source": "deprecatedSource",
    "firstTimestamp": "deprecatedFirstTimestamp",
    "lastTimestamp": "deprecatedLastTimestamp",
    "count": "deprecatedCount",
    "reportingComponent": "reportingController",
}
_BACK = {new: old for old, new in _NAMES.items()}


def from_core(event: Object) -> Object:
    """The fields after kind and apiVersion, under their names in ``events.k8s.io``."""
    return {_NAMES.get(field, field): value for field, value in event.items() if field not in {"kind", "apiVersion"}}


def to_core(event: Object) -> Object:
    return {_BACK.get(field, field): value for field, value in event.items()}
