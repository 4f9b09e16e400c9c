"""What can go wrong between us and the API server."""

from app.errors import ServiceError, TemporaryError


class KubernetesError(ServiceError):
    """The API server refused; ``http_status`` and ``reason`` are its own words."""

    code, status, title = "kubernetes-error", 502, "The API server refused"


class KubernetesNotFound(KubernetesError):
    """No such object or type."""

    code = "kubernetes-not-found"


class KubernetesConflict(KubernetesError):
    """Somebody changed the object meanwhile."""

    code = "kubernetes-conflict"


class KubernetesAlreadyExists(KubernetesError):
    """There is an object of that name."""

    code = "kubernetes-already-exists"


class KubernetesExpired(KubernetesError):
    """A resourceVersion or a continue token is too old."""

    code = "kubernetes-expired"


class KubernetesUnavailable(TemporaryError):
    """The API server did not answer, or not well."""

    code, status, title = "kubernetes-unavailable", 503, "The API server does not answer"


class UntrustedKubeconfig(ServiceError):
    """A kubeconfig asks for more than an address, a CA and keys."""

    code, status, title = "untrusted-kubeconfig", 422, "The kubeconfig is not acceptable"


def from_status(http_status: int, reason: str, message: str) -> ServiceError:
    """The error for a Status of the API server; its message is cut, since it may quote an object."""
    detail = message[:300]
    if http_status == 404:
        return KubernetesNotFound(detail, http_status=http_status, reason=reason)
    if http_status == 410:
        return KubernetesExpired(detail, http_status=http_status, reason=reason)
    if http_status == 409:
        kind = KubernetesAlreadyExists if reason == "AlreadyExists" else KubernetesConflict
        return kind(detail, http_status=http_status, reason=reason)
    if http_status >= 500 and "failed calling webhook" not in message:
        return KubernetesUnavailable(f"the API server answered {http_status}: {detail}")
    return KubernetesError(detail, http_status=http_status, reason=reason)
