"""What is known of a backup without asking anybody."""

from pathlib import Path

import pytest

from app.host.instance_directory import InstanceDirectory
from app.proof.archive import Archive, ArchivedObject
from app.proof.index import INDEX_FILE, find_index, write_index
from app.proof.models import ObjectKey

KEY = ObjectKey(resource="pods", namespace="web", name="a")
ARCHIVE = Archive({KEY: ArchivedObject("uid", "7", "owner", "it has finished")}, "1.1.0")


@pytest.fixture
def directory(tmp_path: Path) -> InstanceDirectory:
    """An instance with one proof's directory."""
    directory = InstanceDirectory.open(tmp_path, "demo")
    directory.make(directory.proofs_directory / "b")
    return directory


def keep(directory: InstanceDirectory, content: bytes) -> None:
    """The index as it lies beside a proof."""
    directory.write(directory.proofs_directory / "b" / INDEX_FILE, content)


def test_an_index_comes_back_as_it_was(directory: InstanceDirectory) -> None:
    """Every object with its class."""
    keep(directory, write_index(ARCHIVE))
    assert find_index(directory, "b") == ARCHIVE


def test_the_same_archive_gives_the_same_bytes() -> None:
    """No time in it."""
    assert write_index(ARCHIVE) == write_index(ARCHIVE)


def test_a_backup_without_an_index_has_none(directory: InstanceDirectory) -> None:
    """It was proven elsewhere, or never."""
    assert find_index(directory, "b") is None


@pytest.mark.parametrize(
    "content",
    [b"", b"no gzip", write_index(ARCHIVE)[:-9], b"\x1f\x8b" + b"\0" * 40],
    ids=["empty", "text", "cut", "bad"],
)
def test_a_damaged_index_is_as_none(directory: InstanceDirectory, content: bytes) -> None:
    """Then the bucket is asked."""
    keep(directory, content)
    assert find_index(directory, "b") is None
