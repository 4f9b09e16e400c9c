"""Every error as an RFC 9457 problem document, declared in OpenAPI by the route that can answer with it."""

import logging
import math
from collections.abc import Mapping
from typing import Any, Literal
from urllib.parse import quote

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.types import Scope

from app.api.errors import (
    BodyTooLarge,
    InvalidRequest,
    MalformedBody,
    MethodNotAllowed,
    RequestRefused,
    RouteNotFound,
)
from app.errors import ServiceError, TemporaryError

MEDIA_TYPE = "application/problem+json"
#: What a client is told to wait when the error itself does not know better.
DEFAULT_RETRY_AFTER_SECONDS = 5

logger = logging.getLogger(__name__)


class FieldError(BaseModel):
    """One thing wrong with a request."""

    location: Literal["body", "query", "path", "header", "cookie"]
    pointer: str = Field(description="JSON pointer into that part of the request.", examples=["#/backup/mode"])
    detail: str


class Problem(BaseModel):
    """An RFC 9457 problem document. Further members carry typed details of the error's `code`."""

    model_config = ConfigDict(extra="allow")

    type: str = Field(examples=["urn:kecs-state:problem:operation-in-progress"])
    title: str
    status: int
    detail: str = Field(description="What happened, for people.")
    instance: str | None = Field(default=None, description="URI of the request that met it.")
    code: str = Field(description="Stable and made for programs.", examples=["operation-in-progress"])
    remedy: str | None = Field(default=None, description="What to do about it.")
    instance_name: str | None = Field(default=None, description="The KECS instance concerned.")
    job_id: str | None = Field(default=None, description="The job concerned, for example the one that is active.")
    errors: list[FieldError] | None = Field(default=None, description="What is wrong with the request, field by field.")


def declared(*errors: type[ServiceError]) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI ``responses`` of a route that can answer with these errors."""
    by_status: dict[int, list[type[ServiceError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: {
            "description": "; ".join(f"{error.title} (`{error.code}`)" for error in group),
            "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
        for status, group in sorted(by_status.items())
    }


def problem_response(error: ServiceError, scope: Scope, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The answer to a request that met ``error``."""
    document = error.problem()
    sent = dict(headers or {})
    if isinstance(error, TemporaryError):
        sent["Retry-After"] = str(math.ceil(error.retry_after_seconds or DEFAULT_RETRY_AFTER_SECONDS))
    return JSONResponse(
        document | {"instance": request_uri(scope)},
        status_code=int(document["status"]),
        media_type=MEDIA_TYPE,
        headers=sent,
    )


def request_uri(scope: Scope) -> str:
    """Path and query of a request, as a URI reference."""
    query = scope.get("query_string", b"").decode("latin-1")
    return quote(scope["path"]) + (f"?{query}" if query else "")


def install(app: FastAPI) -> None:
    """Answer every error of routes and of the framework with a problem document."""
    app.add_exception_handler(ServiceError, _answer_service_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_exception)


async def _answer_service_error(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ServiceError)  # noqa: S101 - registered for this class only
    if error.status >= 500:
        logger.warning("%s", error.detail, extra={"action": "request-failed", "code": error.code})
    return problem_response(error, request.scope)


async def _answer_invalid_request(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for this class only
    found = error.errors()
    if any(entry["type"] == "json_invalid" for entry in found):
        refusal: ServiceError = MalformedBody(
            "the body cannot be read as JSON", remedy="Send a JSON object, or no body at all for the defaults."
        )
    else:
        errors = [_field_error(entry) for entry in found]
        first = errors[0]
        more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        refusal = InvalidRequest(
            f"{first.location} {first.pointer}: {first.detail}{more}",
            remedy="See /docs for the fields of this request.",
            errors=[entry.model_dump() for entry in errors],
        )
    return problem_response(refusal, request.scope)


def _field_error(entry: Mapping[str, Any]) -> FieldError:
    """Where and what, never the value that was sent: it may be a secret in the wrong place."""
    location, *path = entry["loc"] or ("body",)
    pointer = "#" + "".join(f"/{str(part).replace('~', '~0').replace('/', '~1')}" for part in path)
    detail = "unknown field" if entry["type"] == "extra_forbidden" else entry["msg"]
    return FieldError(location=location, pointer=pointer, detail=detail)


async def _answer_http_exception(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for this class only
    return problem_response(_refusal(request, error), request.scope, error.headers)


def _refusal(request: Request, error: HTTPException) -> ServiceError:
    match error.status_code:
        case 400:
            return MalformedBody("the body cannot be read as JSON")
        case 404:
            return RouteNotFound(f"nothing is served at {request.url.path}", remedy="See /docs for what is.")
        case 405:
            return MethodNotAllowed(f"{request.method} is not possible on {request.url.path}", remedy="See /docs.")
        case 413:
            return BodyTooLarge("the body is larger than a request may be")
        case status:
            return RequestRefused(str(error.detail), status=status)
