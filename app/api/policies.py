"""The policy of an instance: what its user decided once, instead of with every request."""

from typing import Annotated

from fastapi import APIRouter, Header, Response

from app.api.dependencies import Running
from app.api.errors import PreconditionFailed
from app.api.operations import ANY_INSTANCE, BODY
from app.api.problems import declared
from app.api.revalidation import JSON, matches, tag_of
from app.errors import ContradictingPolicy, OperationInProgress, VeleroBackupRequired
from app.host.files import HostDirectoryError
from app.workflows.policies import PolicyBody, PolicyView

router = APIRouter(tags=["instances"])

_TAGGED = {"headers": {"ETag": {"description": "For `If-Match`.", "schema": {"type": "string"}}}}
IfMatch = Annotated[
    str | None, Header(description="The ETag of the policy that was read; without it any policy is replaced.")
]


@router.get(
    "/instances/{name}/policy",
    response_model=PolicyView,
    responses=declared(*ANY_INSTANCE, HostDirectoryError) | {200: _TAGGED},
)
async def get_policy(name: str, services: Running) -> Response:
    """What is set for the instance, what holds for it, and who says so."""
    return _answer(await services.operations.policy(name))


@router.put(
    "/instances/{name}/policy",
    response_model=PolicyView,
    responses=declared(
        *ANY_INSTANCE,
        *BODY,
        ContradictingPolicy,
        VeleroBackupRequired,
        OperationInProgress,
        PreconditionFailed,
        HostDirectoryError,
    )
    | {200: _TAGGED},
)
async def set_policy(name: str, services: Running, body: PolicyBody, if_match: IfMatch = None) -> Response:
    """Replace the policy as a whole; fields left out are the service's settings again. Not while a job is active."""

    def expect(view: PolicyView) -> None:
        if if_match is not None and not matches(if_match, tag_of(_body(view))):
            raise PreconditionFailed(
                f"the policy of {name!r} is not the one that was read",
                remedy=f"Read it again with GET /instances/{name}/policy.",
                instance_name=name,
            )

    return _answer(await services.operations.set_policy(name, body, expect))


def _answer(view: PolicyView) -> Response:
    body = _body(view)
    return Response(body, media_type=JSON, headers={"ETag": tag_of(body)})


def _body(view: PolicyView) -> bytes:
    return view.model_dump_json().encode()
