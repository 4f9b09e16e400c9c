"""Errors of access: who may not, and what is not there."""

from app.errors import ServiceError


class TokenRequired(ServiceError):
    code, status, title = "token-required", 401, "A token is required"


class TokenInvalid(ServiceError):
    code, status, title = "token-invalid", 401, "The token is not valid"


class ScopeTooSmall(ServiceError):
    code, status, title = "scope-too-small", 403, "The token may not do this"


class TokenNotFound(ServiceError):
    code, status, title = "token-not-found", 404, "Token not found"


class TokenNameTaken(ServiceError):
    code, status, title = "token-name-taken", 409, "The token's name is taken"


class InvalidTokenName(ServiceError):
    code, status, title = "invalid-token-name", 422, "Invalid token name"
