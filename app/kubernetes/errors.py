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


class KubernetesUnauthorized(KubernetesError):
    """The server does not know us: a token or certificate that has expired, or belongs to an earlier cluster."""

    code = "kubernetes-unauthorized"


class KubernetesForbidden(KubernetesError):
    """The server knows us and does not let us."""

    code = "kubernetes-forbidden"


class KubernetesUntrusted(KubernetesError):
    """Who answers does not prove to be the cluster of the kubeconfig; nothing was sent to it."""

    code = "kubernetes-untrusted"


class KubernetesUnavailable(TemporaryError):
    """The API server did not answer, or not well. ``http_status`` is among the extras only if it answered."""

    code, status, title = "kubernetes-unavailable", 503, "The API server does not answer"


class UntrustedKubeconfig(ServiceError):
    """A kubeconfig asks for more than an address, a CA and keys."""

    code, status, title = "untrusted-kubeconfig", 422, "The kubeconfig is not acceptable"


FRESH_KUBECONFIG = "Get a fresh kubeconfig: the cluster may have been made anew, or its credentials have run out."
_BY_STATUS: dict[int, tuple[type[KubernetesError], str]] = {
    401: (KubernetesUnauthorized, FRESH_KUBECONFIG),
    403: (KubernetesForbidden, "Give the user of the kubeconfig the right that is missing, or use an administrator's."),
    404: (KubernetesNotFound, ""),
    409: (KubernetesConflict, "Try again: it is then done to the object as it is now."),
    410: (KubernetesExpired, "List again: the server has forgotten that version."),
}


def from_status(
    http_status: int, reason: str, message: str, *, retry_after_seconds: float | None = None
) -> ServiceError:
    """The error for a Status of the API server; its message is cut, since it may quote an object.

    Temporary are 429 and what the server itself could not do; but a webhook that cannot be called stays so.
    """
    detail = message[:300]
    if http_status == 429 or (http_status >= 500 and "failed calling webhook" not in message):
        return KubernetesUnavailable(
            f"the API server answered {http_status}: {detail}",
            retry_after_seconds=retry_after_seconds,
            http_status=http_status,
        )
    kind, remedy = _BY_STATUS.get(http_status, (KubernetesError, ""))
    if http_status == 409 and reason == "AlreadyExists":
        kind, remedy = KubernetesAlreadyExists, ""
    return kind(detail, remedy=remedy, http_status=http_status, reason=reason)
