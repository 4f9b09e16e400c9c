"""Tokens at rest: shown once, kept as a digest, revoked for good."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.access.errors import InvalidTokenName, TokenNameTaken, TokenNotFound
from app.access.tokens import PREFIX, Scope, TokenStore
from app.db import Database
from tests.databases import ON_BOTH_DATABASES


@pytest.fixture
async def tokens(database_url: str) -> AsyncIterator[TokenStore]:
    """The tokens of a migrated database."""
    database = Database(database_url)
    await database.migrate()
    yield TokenStore(database)
    await database.close()


@ON_BOTH_DATABASES
async def test_a_token_is_found_by_itself_alone(tokens: TokenStore) -> None:
    """256 random bits; another one of the same form is nobody's."""
    token = await tokens.create("ci", Scope.READ)
    found = await tokens.find(token)
    assert found is not None
    assert (found.name, found.scope) == ("ci", "read")
    assert len(token) == len(PREFIX) + 43
    assert await tokens.find(token[:-1] + ("A" if token[-1] != "A" else "B")) is None
    assert await tokens.find("") is None


async def test_no_file_of_the_database_holds_a_token(tokens: TokenStore, tmp_path: Path) -> None:
    """Whoever reads the database cannot call the service with it."""
    token = await tokens.create("ci", Scope.OPERATE)
    files = list(tmp_path.iterdir())
    assert files
    assert all(token.removeprefix(PREFIX).encode() not in file.read_bytes() for file in files)


@ON_BOTH_DATABASES
async def test_a_revoked_token_is_nobodys_and_its_name_is_free(tokens: TokenStore) -> None:
    """Its row stays as history."""
    first = await tokens.create("ci", Scope.OPERATE)
    await tokens.revoke("ci")
    assert await tokens.find(first) is None
    second = await tokens.create("ci", Scope.OPERATE)
    assert await tokens.find(second) is not None
    assert [token.revoked_at is None for token in await tokens.list()] == [False, True]


@ON_BOTH_DATABASES
async def test_names_are_checked(tokens: TokenStore) -> None:
    """A name in force is taken, a strange one is refused, an unknown one cannot be revoked."""
    await tokens.create("ci", Scope.READ)
    with pytest.raises(TokenNameTaken):
        await tokens.create("ci", Scope.OPERATE)
    with pytest.raises(TokenNotFound):
        await tokens.revoke("nobody")
    for name in ("", "a b", "x" * 65, "ä"):
        with pytest.raises(InvalidTokenName):
            await tokens.create(name, Scope.READ)


@ON_BOTH_DATABASES
async def test_only_a_token_that_operates_opens_the_network(tokens: TokenStore) -> None:
    """With nothing but readers nobody could use the service from there."""
    await tokens.create("viewer", Scope.READ)
    assert not await tokens.any_operates()
    await tokens.create("ci", Scope.OPERATE)
    assert await tokens.any_operates()
    await tokens.revoke("ci")
    assert not await tokens.any_operates()
