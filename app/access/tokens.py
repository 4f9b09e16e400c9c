"""Bearer tokens: 256 random bits each, of which only a digest is kept."""

import re
import secrets
from collections.abc import Sequence
from enum import StrEnum
from hashlib import sha256

from sqlmodel import Session, col, select
from uuid6 import uuid7

from app.access.errors import InvalidTokenName, TokenNameTaken, TokenNotFound
from app.access.models import Token
from app.db import Database
from app.queries import now, reads, writes

#: Lets people and secret scanners recognise a token where it does not belong.
PREFIX = "kecs_"
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Scope(StrEnum):
    """What a token may do: look, or everything."""

    READ = "read"
    OPERATE = "operate"


class TokenStore:
    """The tokens of one database, whichever host asks."""

    def __init__(self, database: Database) -> None:
        self.database = database

    async def create(self, name: str, scope: Scope) -> str:
        """A new token: this is the only time that it can be had."""
        if not _NAME.fullmatch(name):
            raise InvalidTokenName(
                f"{name[:80]!r} is not a token's name",
                remedy="Use 1 to 64 letters, digits, dots, underscores and hyphens.",
            )
        token = PREFIX + secrets.token_urlsafe(32)
        await self._insert(
            Token(id=str(uuid7()), name=name, digest=digest_of(token), scope=scope.value, created_at=now())
        )
        return token

    @writes
    def _insert(self, session: Session, token: Token) -> None:
        if _in_force(session, token.name) is not None:
            raise TokenNameTaken(
                f"there is a token named {token.name!r}", remedy="Revoke it first, or choose another name."
            )
        session.add(token)

    @writes
    def revoke(self, session: Session, name: str) -> Token:
        """Refuse a token from now on; its row stays."""
        token = _in_force(session, name)
        if token is None:
            raise TokenNotFound(f"no token named {name!r} is in force", remedy="List them: kecs-state token list")
        token.revoked_at = now()
        return token

    @reads
    def list(self, session: Session) -> Sequence[Token]:
        """Every token ever made, oldest first."""
        return session.execute(select(Token).order_by(col(Token.id))).scalars().all()

    @reads
    def find(self, session: Session, token: str) -> Token | None:
        """The token in force that was presented. Looked up by digest: timing tells nothing of the token itself."""
        query = select(Token).where(col(Token.digest) == digest_of(token), col(Token.revoked_at).is_(None))
        return session.execute(query).scalars().first()

    @reads
    def any_operates(self, session: Session) -> bool:
        """Whether some token in force may do everything."""
        query = select(Token).where(col(Token.scope) == Scope.OPERATE.value, col(Token.revoked_at).is_(None)).limit(1)
        return session.execute(query).scalars().first() is not None


def digest_of(token: str) -> str:
    """What is kept of a token. It is random, so a plain hash cannot be guessed back."""
    return sha256(token.encode()).hexdigest()


def _in_force(session: Session, name: str) -> Token | None:
    query = select(Token).where(col(Token.name) == name, col(Token.revoked_at).is_(None))
    return session.execute(query).scalars().first()
