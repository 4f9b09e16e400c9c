"""The HTTP application: routes, guards, problems, and an OpenAPI document that says all of it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi_offline import FastAPIOffline
from starlette.middleware import Middleware

from app.access.errors import ScopeTooSmall, TokenInvalid, TokenRequired
from app.api import (
    audit,
    backups,
    dashboard,
    document,
    instances,
    jobs,
    policies,
    problems,
    service_info,
    statistics,
    webhooks,
)
from app.api.access import AccessControl
from app.api.dependencies import Services
from app.api.errors import CrossSiteRefused, HostNotAllowed, RequestTooSlow, TooManyConnections
from app.api.guards import InternalErrors, LocalCallersOnly, SecurityHeaders, SmallJsonBodies
from app.api.revalidation import Revalidation
from app.errors import ServiceError
from app.settings import Settings

ServicesLifespan = Callable[[FastAPI], AbstractAsyncContextManager[Services]]

TITLE = "kecs-state"
DESCRIPTION = """\
Stops and starts local ECS environments (KECS instances) without losing their state.

**No instance is powered off before its backup has been proven** (unless the caller said so, and then the job says
`unprotected`), **and what comes back after a start is what was there, or the job says exactly what is missing.**

Operations are accepted as *jobs*: `202` with `Location`; follow with `GET /jobs/{job_id}?wait=60`, or ask for the end
at once with `Prefer: wait=60`. Every body is optional: `curl -X POST .../instances/demo/stop` is a whole request.
Errors are RFC 9457 problem documents with a stable `code` and a `remedy`.
"""
TAGS = [
    {"name": "instances", "description": "KECS instances and the operations on them."},
    {"name": "backups", "description": "Backups of an instance, with their proofs."},
    {"name": "jobs", "description": "Accepted operations."},
    {"name": "webhooks", "description": "Receivers of signed messages about jobs, and what was sent to them."},
    {"name": "statistics", "description": "Counts, durations and sizes of jobs and backups."},
    {"name": "service", "description": "The service about itself."},
]
#: What connections, the guards and the last resort can answer on every route.
_EVERYWHERE = (
    RequestTooSlow, TooManyConnections, TokenRequired, TokenInvalid, ScopeTooSmall, CrossSiteRefused, HostNotAllowed,
    ServiceError,
)  # fmt: skip


def build_app(settings: Settings, services_lifespan: ServicesLifespan) -> FastAPI:
    """The application; ``services_lifespan`` opens what the routes work with and closes it at the end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with services_lifespan(app) as services:
            app.state.services = services
            yield

    app = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        static_url="/docs/static",
        title=TITLE,
        summary="Stop and start KECS instances without losing state",
        description=DESCRIPTION,
        version=version("kecs-state"),
        openapi_tags=TAGS,
        lifespan=lifespan,
        redirect_slashes=False,
        # The guards refuse what the strict check is for, and `curl --data` without a type should work.
        strict_content_type=False,
        generate_unique_id_function=_operation_id,
        responses=problems.declared(*_EVERYWHERE),
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(InternalErrors),
            Middleware(LocalCallersOnly, server=settings.server),
            Middleware(AccessControl, required=settings.server.needs_tokens),
            Middleware(SmallJsonBodies),
            Middleware(Revalidation),
        ],
    )
    # Each request is matched against one after the other: first what is asked most.
    for module in (jobs, instances, policies, backups, webhooks, statistics, audit, service_info):
        app.include_router(module.router)
    app.include_router(dashboard.router)
    dashboard.serve_files(app)
    webhooks.describe_messages(app.webhooks)
    problems.install(app)
    document.complete(app)
    return app


def _operation_id(route: APIRoute) -> str:
    return route.name
