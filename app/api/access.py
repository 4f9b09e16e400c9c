"""Who calls, whether they may, and the record of what they changed.

A token is required wherever the service listens beyond this machine, or where the settings say so; one that is sent
is checked in any case, so that a client with a revoked token learns of it at once.
"""

import logging
import re

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.access.errors import ScopeTooSmall, TokenInvalid, TokenRequired
from app.access.models import Token
from app.access.tokens import Scope as TokenScope
from app.access.tokens import TokenStore
from app.api.dependencies import Services
from app.api.problems import problem_response
from app.errors import ServiceError

#: Alive or not, and pages that can do nothing without a token.
OPEN_PATHS = frozenset({"/", "/livez", "/docs", "/openapi.json"})
OPEN_PREFIXES = ("/dashboard/", "/docs/")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
#: The name of callers without a token: whoever may use this machine's loopback addresses.
LOCAL = "local"

_BEARER = re.compile(r"Bearer +([A-Za-z0-9._~+/-]{1,512}=*)", re.IGNORECASE)
_REALM = 'Bearer realm="kecs-state"'

logger = logging.getLogger(__name__)


class AccessControl:
    """Checks tokens and their scopes before anything of a request is read, and audits what changes something."""

    def __init__(self, app: ASGIApp, *, required: bool) -> None:
        self.app = app
        self.required = required

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on what may pass."""
        if scope["type"] != "http" or scope["path"] in OPEN_PATHS or scope["path"].startswith(OPEN_PREFIXES):
            await self.app(scope, receive, send)
            return
        services: Services = scope["app"].state.services
        try:
            token = await self._token(Headers(scope=scope), services.tokens)
            if token is not None:
                _check_scope(token, scope)
        except (TokenRequired, TokenInvalid, ScopeTooSmall) as refusal:
            logger.warning("%s", refusal.detail, extra={"action": "request-refused", "code": refusal.code})
            await problem_response(refusal, scope, {"WWW-Authenticate": _challenge(refusal)})(scope, receive, send)
            return
        except ServiceError as error:  # the database cannot be asked
            await problem_response(error, scope)(scope, receive, send)
            return
        if scope["method"] in READING:
            await self.app(scope, receive, send)
        else:
            await self._audited(scope, receive, send, services, token.name if token else LOCAL)

    async def _token(self, headers: Headers, tokens: TokenStore) -> Token | None:
        sent = headers.getlist("authorization")
        if not sent:
            if self.required:
                raise TokenRequired(
                    "this service answers only callers with a token",
                    remedy="Make one where the service runs, with `kecs-state token create NAME`, and send it as "
                    "'Authorization: Bearer ...'; the command line takes it from KECS_STATE_TOKEN.",
                )
            return None
        match = _BEARER.fullmatch(sent[0].strip()) if len(sent) == 1 else None
        token = await tokens.find(match[1]) if match else None
        if token is None:
            raise TokenInvalid(
                "the Authorization header holds no token that is in force",
                remedy="See `kecs-state token list` where the service runs; make a new one if it was revoked.",
            )
        return token

    async def _audited(self, scope: Scope, receive: Receive, send: Send, services: Services, caller: str) -> None:
        """Recorded before it is answered: who has the answer finds the record."""
        recorded = False

        async def record(status: int) -> None:
            nonlocal recorded
            recorded = True
            said = (caller, scope["method"], scope["path"], status)
            logger.info("%s: %s %s answered %d", *said, extra={"action": "audit"})
            try:
                await services.audit.add(caller=caller, method=scope["method"], path=scope["path"], status=status)
            except ServiceError as error:
                logger.error("%s", error.detail, extra={"action": "audit-failed"})  # noqa: TRY400 - says it all

        async def record_and_send(message: Message) -> None:
            if message["type"] == "http.response.start":
                await record(message["status"])
            await send(message)

        try:
            await self.app(scope, receive, record_and_send)
        finally:
            if not recorded:
                await record(500)


def _check_scope(token: Token, scope: Scope) -> None:
    if token.scope != TokenScope.OPERATE and (scope["method"] not in READING or scope["path"] == "/audit"):
        raise ScopeTooSmall(
            f"token {token.name!r} has the scope {token.scope!r}, and this needs 'operate'",
            remedy="Use a token with the scope 'operate'.",
        )


def _challenge(refusal: ServiceError) -> str:
    """RFC 6750, section 3: nothing but the realm where no token was sent."""
    match refusal:
        case TokenInvalid():
            return f'{_REALM}, error="invalid_token"'
        case ScopeTooSmall():
            return f'{_REALM}, error="insufficient_scope", scope="operate"'
        case _:
            return _REALM
