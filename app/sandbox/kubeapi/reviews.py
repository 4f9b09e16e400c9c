"""Reviews: questions put as objects and answered in their status. Whoever gets in here may do everything."""

from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, metadata_of, timestamp

_USER = {"username": "admin", "groups": ["system:masters", "system:authenticated"]}
_EVERYTHING = {
    "resourceRules": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
    "incomplete": False,
}


def answered(kind: Kind, question: Object) -> Object:
    """The question with its answer; nothing is stored."""
    review = {**question, "kind": kind.kind, "apiVersion": kind.api_version}
    metadata_of(review).setdefault("creationTimestamp", timestamp())
    match kind.kind:
        case "SelfSubjectReview":
            review["status"] = {"userInfo": _USER}
        case "TokenReview":
            review["status"] = {"authenticated": False}  # no token is known but the one that got in here
        case "SelfSubjectRulesReview":
            review["status"] = _EVERYTHING
        case _:
            review["status"] = {"allowed": True, "reason": "the sandbox refuses nobody who has its token"}
    return review
