"""Every command of the documents, typed in the order of its page."""

import re
from pathlib import Path

import pytest

from app.storage.s3 import S3Store
from tests.docs.blocks import COMMANDS, OTHER, PAGES, ROOT, Command, agrees, blocks, commands
from tests.docs.conftest import Reader
from tests.workflows.external_store import BUCKET, running_external_store

#: Pages that make an instance; before any other ``demo`` runs.
MAKES = {"README.md": "demo", "docs/tutorial.md": "first"}
#: Begins with a service whose settings name a store.
WITH_STORE = "docs/storage.md"
RUN = [page for page in PAGES if any(block.runs for block in blocks(page))]
NOT_RUN = {
    ("README.md", "a run of its own in CI"),
    ("README.md", "the tests have a service of their own"),
    ("docs/access.md", "listens on the network"),
    ("docs/air-gap.md", "needs Docker and a registry"),
    ("docs/air-gap.md", "needs a package index"),
    ("docs/ci.md", "the tests have a service of their own"),
    ("docs/cli.md", "needs the shell fish"),
    ("docs/container.md", "needs Docker"),
    ("docs/drivers.md", "needs Docker and kind"),
    ("docs/scale.md", "needs a PostgreSQL server"),
    ("docs/storage.md", "the tests start the service with the address of their own store"),
    ("docs/tutorial.md", "the tests have a service of their own"),
    ("docs/volumes.md", "the service of the tests runs already"),
}
LOOKS_TYPED = re.compile(r"^(?:\$ |(?:\.venv/bin/)?kecs-state |curl |make |export )", re.MULTILINE)


def name_of(page: Path) -> str:
    """As it is named in this repository."""
    return str(page.relative_to(ROOT))


@pytest.mark.docs
@pytest.mark.timeout(360)
@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("page", [page for page in RUN if name_of(page) != WITH_STORE], ids=name_of)
async def test_a_page_does_what_it_says(page: Path, reader: Reader) -> None:
    """No command fails, and what a page shows of its output is what comes."""
    if made := MAKES.get(name_of(page)):
        await reader.lacks(made)
    else:
        await reader.has("demo")
    await follow(page, reader)


@pytest.mark.docs
@pytest.mark.timeout(360)
@pytest.mark.asyncio(loop_scope="session")
async def test_the_page_of_stores_does_what_it_says(reader: Reader, tmp_path: Path) -> None:
    """The last of them, as the service has other settings from here on."""
    with running_external_store(tmp_path / "store") as store:
        async with S3Store(store.server.url, store.server.credentials, BUCKET) as whole:
            await whole.ensure_bucket()
        await reader.service.serve_with(**store.settings)
        await reader.has("demo")
        await follow(ROOT / WITH_STORE, reader)


@pytest.mark.docs
@pytest.mark.asyncio(loop_scope="session")
async def test_a_command_that_fails_is_named(reader: Reader) -> None:
    """Otherwise this file would see nothing."""
    with pytest.raises(AssertionError, match=r"page\.md:2: exit code 3"):
        await reader.types([Command("page.md:1", "true", None), Command("page.md:2", "(exit 3)", None)])


async def follow(page: Path, reader: Reader) -> None:
    """Type what the page says, and compare."""
    typed = [command for block in blocks(page) if block.runs for command in commands(block)]
    for command, printed in zip(typed, await reader.types(typed), strict=True):
        assert command.shown is None or agrees(command.shown, printed), f"{command.place}: {command.text}\n{printed}"


def test_what_is_not_run_is_listed_here_with_its_reason() -> None:
    """So nothing is left out unseen."""
    left_out = {(block.page, block.reason) for page in PAGES for block in blocks(page) if block.reason}
    assert left_out == NOT_RUN


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_says_what_it_is(page: Path) -> None:
    """What looks like a command is marked as one."""
    for block in blocks(page):
        assert block.language in COMMANDS | OTHER, f"{block.page}:{block.line}"
        assert block.language in COMMANDS or not LOOKS_TYPED.search(block.text), f"{block.page}:{block.line}"
