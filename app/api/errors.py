"""Errors of the HTTP surface itself; everything else a route answers with is an error of the layers below."""

from app.errors import ServiceError, TemporaryError


class HostNotAllowed(ServiceError):
    code, status, title = "host-not-allowed", 421, "This host name is not served here"


class CrossSiteRefused(ServiceError):
    code, status, title = "cross-site-refused", 403, "Requests from other web pages are refused"


class BindingRefused(ServiceError):
    code, status, title = "binding-refused", 403, "Listening beyond this machine needs a token"


class RouteNotFound(ServiceError):
    code, status, title = "route-not-found", 404, "No such resource"


class MethodNotAllowed(ServiceError):
    code, status, title = "method-not-allowed", 405, "Method not allowed"


class MalformedBody(ServiceError):
    code, status, title = "malformed-body", 400, "The body is not JSON"


class BodyTooLarge(ServiceError):
    code, status, title = "body-too-large", 413, "The body is too large"


class RequestTooSlow(ServiceError):
    code, status, title = "request-too-slow", 408, "The request did not arrive in time"


class TooManyConnections(TemporaryError):
    code, status, title = "too-many-connections", 503, "Too many connections"


class UnsupportedMediaType(ServiceError):
    code, status, title = "unsupported-media-type", 415, "The body must be JSON"


class InvalidRequest(ServiceError):
    code, status, title = "invalid-request", 422, "The request is not valid"


class InvalidPageToken(ServiceError):
    code, status, title = "invalid-page-token", 422, "The page token is not valid"


class InvalidCursor(ServiceError):
    code, status, title = "invalid-cursor", 422, "The cursor is not valid"


class InvalidIdempotencyKey(ServiceError):
    code, status, title = "invalid-idempotency-key", 400, "The idempotency key is not valid"


class IdempotencyKeyReused(ServiceError):
    code, status, title = "idempotency-key-reused", 422, "The idempotency key belongs to another request"


class PreconditionFailed(ServiceError):
    code, status, title = "precondition-failed", 412, "It is not what the caller has read"


class RequestInFlight(ServiceError):
    code, status, title = "request-in-flight", 409, "A request with this idempotency key is being accepted"


class RequestRefused(ServiceError):
    """A refusal by the HTTP framework that has no class of its own here."""

    code, status, title = "request-refused", 400, "The request was refused"
