"""Requests that may be sent twice: ``Idempotency-Key`` (draft-ietf-httpapi-idempotency-key-header-07).

The key is a column of the job, unique on its host, so the job and its key are accepted in one transaction, and a key
expires with its job (``history.keep_days``). Only what was accepted is replayed: a refused request may be sent again
with its key.
"""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Annotated

from fastapi import Header, Request

from app.api.errors import IdempotencyKeyReused, InvalidIdempotencyKey, RequestInFlight
from app.errors import NotSupported
from app.jobs.models import Job
from app.jobs.repository import RequestKey

#: Printable ASCII, as it travels in a header.
_KEY = re.compile(r"[!-~]{1,255}")

KeyHeader = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Names this request, for example by a UUID: sent again with the same body, it is answered with the "
        "job that the first one made, for as long as that job is kept.",
        examples=["01990b6e-5f8e-7cc1-b1a4-3f1f7a2b9d10"],
    ),
]


async def request_key(request: Request, header: KeyHeader = None) -> RequestKey | None:
    """The caller's key with the fingerprint of method, path and body; None without one."""
    if header is None:
        return None
    # The draft writes it as a structured string, in quotes; most clients send it bare.
    bare = header[1:-1] if len(header) > 2 and header[0] == header[-1] == '"' else header
    if not _KEY.fullmatch(bare):
        raise InvalidIdempotencyKey(
            "an Idempotency-Key is 1 to 255 printable ASCII characters", remedy="Use a UUID, a new one per request."
        )
    sent = f"{request.method} {request.url.path}\n".encode() + await request.body()
    return RequestKey(bare, sha256(sent).hexdigest())


def check_replay(job: Job, key: RequestKey) -> None:
    """Raise unless the job was accepted for the very same request."""
    if job.fingerprint != key.fingerprint:
        raise IdempotencyKeyReused(
            f"this Idempotency-Key was sent before with another request, which is job {job.id}",
            remedy="Use a new key for a new request; repeat a request with the body it had.",
            job_id=job.id,
        )


class KeysInFlight:
    """Keys whose first request is being accepted at this moment."""

    def __init__(self) -> None:
        self._keys: set[str] = set()

    @asynccontextmanager
    async def accepting(self, key: RequestKey | None) -> AsyncIterator[None]:
        """Hold the key meanwhile; a second request with it is told to come again."""
        if key is None:
            yield
            return
        if key.key in self._keys:
            raise RequestInFlight(
                "the first request with this Idempotency-Key is still being accepted",
                remedy="Send it again in a second.",
            )
        self._keys.add(key.key)
        try:
            yield
        finally:
            self._keys.discard(key.key)


async def refuse_key(
    header: Annotated[str | None, Header(alias="Idempotency-Key", include_in_schema=False)] = None,
) -> None:
    """For requests that make no job: a key would promise what is not kept."""
    if header is not None:
        raise NotSupported(
            "this request cannot be replayed by Idempotency-Key: it makes no job",
            remedy="Leave the header out.",
            field="Idempotency-Key",
        )
