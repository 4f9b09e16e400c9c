"""One process works a host's jobs, also where many hosts share one PostgreSQL.

Two things say so together. A session of the process's own holds an advisory lock, which the server frees with that
session: a second process is refused while the first one lives, and a killed one is in nobody's way. And every holder
has a number, one higher than that of the holder before: each transaction that writes looks for its own first. So who
lost the session and was followed by another can write nothing any more, hence begin no step and no power-off.

On SQLite the lock file of the instances directory (``app/host/service_lock.py``) says it all.
"""

import asyncio
import contextlib
import logging
import os
import socket
from hashlib import blake2b
from types import TracebackType
from typing import Self

from sqlalchemy import Connection, text
from sqlmodel import Session, col, select

from app.db import Database, DatabaseError
from app.errors import ServiceError
from app.jobs.models import HostClaim
from app.queries import now, writes

#: How long a process that begins tries: the server needs a moment to notice that the one before was killed.
TAKE_SECONDS = 3.0
TAKE_PAUSE_SECONDS = 0.25
#: How often the holder looks whether it still is.
KEEP_SECONDS = 2.0

logger = logging.getLogger(__name__)


class HostAlreadyServed(ServiceError):
    """Another process works this host's jobs; ``holder`` in the extras says which."""

    code, status, title = "host-already-served", 409, "Another process serves this host"


class HostTakenOver(DatabaseError):
    """Another process works this host's jobs since this one lost its session with the server."""

    code, title = "host-taken-over", "Another process has taken this host over"


class Claim:
    """The right to work a host's jobs; use as an async context manager, around everything that writes."""

    def __init__(self, database: Database, host: str) -> None:
        self.database = database
        self._host = host
        self._key = int.from_bytes(blake2b(f"kecs-state host {host}".encode(), digest_size=8).digest(), signed=True)
        self._number = 0
        self._connection: Connection | None = None
        self._keeping: asyncio.Task[None] | None = None
        self._lost: HostTakenOver | None = None
        self._has_been_lost = asyncio.Event()

    async def __aenter__(self) -> Self:
        if not self.database.is_sqlite:
            await self._take()
            self.database.fence = self._check
            self._keeping = asyncio.create_task(self._keep(), name="keep the host's claim")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Free the host for the next process."""
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        await self.database.to_its_end(self._let_go)

    async def until_lost(self) -> None:
        """Wait until another process has taken the host over; that never happens by itself."""
        await self._has_been_lost.wait()

    def raise_if_lost(self) -> None:
        """Raise ``HostTakenOver`` once that has happened."""
        if self._lost is not None:
            raise self._lost

    async def _take(self) -> None:
        clock = asyncio.get_running_loop().time
        until = clock() + TAKE_SECONDS
        while not await self.database.to_its_end(self._hold):
            if clock() > until:
                raise await self._refusal()
            await asyncio.sleep(TAKE_PAUSE_SECONDS)
        try:
            self._number = await self._begin()
        except BaseException:
            await self.database.to_its_end(self._let_go)
            raise

    @writes
    def _begin(self, session: Session) -> int:
        """Become the newest holder; gives its number."""
        claim = session.get(HostClaim, self._host) or HostClaim(host=self._host, number=0, holder="", since=now())
        claim.number, claim.since = claim.number + 1, now()
        claim.holder = f"process {os.getpid()} on {socket.gethostname()}"
        session.add(claim)
        return claim.number

    async def _refusal(self) -> HostAlreadyServed:
        claim = await self.database.read(lambda session: session.get(HostClaim, self._host))
        holder = claim.holder if claim is not None else "a process not known yet"
        since = f" since {claim.since:%F %T} UTC" if claim is not None else ""
        return HostAlreadyServed(
            f"{holder} works the jobs of host {self._host}{since}",
            remedy="End that one first; if its machine has gone, its session ends within half a minute. "
            "A copied state directory needs a host id of its own: delete the file host-id in the copy.",
            holder=holder,
        )

    async def _keep(self) -> None:
        """Look now and then; a session that was lost is begun anew, unless somebody else has come first."""
        while self._lost is None:
            await asyncio.sleep(KEEP_SECONDS)
            try:
                await self.database.to_its_end(self._hold)
                await self.database.read(self._check)
            except HostTakenOver as error:
                logger.error("%s", error.detail, extra={"action": "host-taken-over"})  # noqa: TRY400 - says it all
                self._lost = error
                self._has_been_lost.set()
            except DatabaseError as error:
                logger.warning("%s", error.detail, extra={"action": "claim-unknown"})
            except Exception:
                # Nothing but the end may end this loop: a lost session must be begun anew.
                logger.exception("the claim on this host could not be looked at", extra={"action": "claim-unknown"})

    def _hold(self) -> bool:
        """See that the lock's session lives, or try for the lock in a new one."""
        try:
            with self.database.translated():
                if self._connection is not None:
                    self._connection.execute(text("SELECT 1"))
                    return True
                self._connection = self.database.connect_alone()
                wanted = {"key": self._key}
                held = bool(self._connection.execute(text("SELECT pg_try_advisory_lock(:key)"), wanted).scalar_one())
        except DatabaseError:
            self._let_go()
            raise
        if not held:
            self._let_go()
        return held

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(Exception):
                connection.close()
            connection.engine.dispose()

    def _check(self, session: Session) -> None:
        """Raise unless this process is the newest holder."""
        newest = session.execute(
            select(col(HostClaim.number), col(HostClaim.holder)).where(col(HostClaim.host) == self._host)
        ).first()
        if newest is None or newest[0] != self._number:
            raise HostTakenOver(
                f"{newest[1] if newest else 'somebody'} has taken over the jobs of host {self._host}; nothing is "
                "written here any more",
                remedy="One of the two has a copied state directory: delete the file host-id in the copy.",
            )
