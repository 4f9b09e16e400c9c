"""Every refusal as the ``metav1.Status`` the real API server answers with."""

from collections.abc import Iterable
from typing import Any

from app.sandbox.kubeapi.objects import Object


class Failure(Exception):
    """An answer other than success; ``details`` goes into the Status as it is."""

    def __init__(self, code: int, reason: str, message: str, details: Object | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.details = details

    def status(self) -> Object:
        body: Object = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": self.message,
            "reason": self.reason,
            "code": self.code,
        }
        if self.details:
            body["details"] = self.details
        return body


def _details(resource: str, name: str) -> Object:
    plural, _, group = resource.partition(".")
    return {"name": name, "kind": plural} | ({"group": group} if group else {})


def not_found(resource: str, name: str) -> Failure:
    """``resource`` is written ``deployments.apps``."""
    return Failure(404, "NotFound", f'{resource} "{name}" not found', _details(resource, name))


def no_such_path() -> Failure:
    return Failure(404, "NotFound", "the server could not find the requested resource")


def already_exists(resource: str, name: str) -> Failure:
    return Failure(409, "AlreadyExists", f'{resource} "{name}" already exists', _details(resource, name))


def conflict(resource: str, name: str, why: str) -> Failure:
    message = f'Operation cannot be fulfilled on {resource} "{name}": {why}'
    return Failure(409, "Conflict", message, _details(resource, name))


def modified_meanwhile(resource: str, name: str) -> Failure:
    why = "the object has been modified; please apply your changes to the latest version and try again"
    return conflict(resource, name, why)


def forbidden(resource: str, name: str, why: str, causes: list[Any] | None = None) -> Failure:
    details = _details(resource, name) | ({"causes": causes} if causes else {})
    return Failure(403, "Forbidden", f'{resource} "{name}" is forbidden: {why}', details)


def bad_request(message: str) -> Failure:
    return Failure(400, "BadRequest", message)


def method_not_allowed() -> Failure:
    message = "the server does not allow this method on the requested resource"
    return Failure(405, "MethodNotAllowed", message)


def expired(message: str) -> Failure:
    return Failure(410, "Expired", message)


def too_many_requests(message: str) -> Failure:
    return Failure(429, "TooManyRequests", message, {"retryAfterSeconds": 1})


def unsupported_media_type(content_type: str) -> Failure:
    message = f"the body of the request was in an unknown format - unsupported content type: {content_type}"
    return Failure(415, "UnsupportedMediaType", message)


def internal_error(message: str) -> Failure:
    causes = {"causes": [{"message": message}]}
    return Failure(500, "InternalError", f"Internal error occurred: {message}", causes)


def unauthorized() -> Failure:
    return Failure(401, "Unauthorized", "Unauthorized")


class Flaw(tuple[str, str, str]):
    """What is wrong with one field: (path, cause such as ``FieldValueInvalid``, message)."""

    __slots__ = ()

    @classmethod
    def invalid(cls, path: str, value: Any, why: str) -> "Flaw":
        shown = f'"{value}"' if isinstance(value, str) else value
        return cls((path, "FieldValueInvalid", f"Invalid value: {shown}: {why}"))

    @classmethod
    def required(cls, path: str, why: str = "") -> "Flaw":
        return cls((path, "FieldValueRequired", f"Required value{': ' + why if why else ''}"))

    @classmethod
    def too_long(cls, path: str, most_bytes: int) -> "Flaw":
        return cls((path, "FieldValueTooLong", f"Too long: may not be more than {most_bytes} bytes"))

    @classmethod
    def forbidden(cls, path: str, why: str) -> "Flaw":
        return cls((path, "FieldValueForbidden", f"Forbidden: {why}"))

    @classmethod
    def unsupported(cls, path: str, value: Any, supported: Iterable[str]) -> "Flaw":
        shown = ", ".join(f'"{one}"' for one in supported)
        return cls((path, "FieldValueNotSupported", f'Unsupported value: "{value}": supported values: {shown}'))


def invalid(kind: str, group: str, name: str, flaws: list[Flaw]) -> Failure:
    """422 with one cause per flaw, worded like ``Pod "x" is invalid: spec.containers: Required value``."""
    shown = [f"{path}: {message}" for path, _, message in flaws]
    subject = f"{kind}.{group}" if group else kind
    text = shown[0] if len(shown) == 1 else f"[{', '.join(shown)}]"
    causes = [{"reason": cause, "message": message, "field": path} for path, cause, message in flaws]
    details = {"name": name, "kind": kind, "causes": causes} | ({"group": group} if group else {})
    return Failure(422, "Invalid", f'{subject} "{name}" is invalid: {text}', details)
