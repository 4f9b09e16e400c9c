"""Files of an instance: private, atomic, and never behind a link."""

import errno
import os
import stat
from pathlib import Path

import pytest

from app.errors import InsufficientStorage
from app.host.files import HostDirectoryError, free_bytes, make_private_directory, read_private, write_private


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_private_and_holds_what_was_written(tmp_path: Path) -> None:
    """Whatever the process's umask is."""
    before = os.umask(0)
    try:
        write_private(tmp_path / "secret", b"content")
    finally:
        os.umask(before)
    assert mode(tmp_path / "secret") == 0o600
    assert read_private(tmp_path / "secret") == b"content"


def test_a_file_is_private_from_its_first_byte(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looked at when the content is synced, before the file has its name."""
    seen = []
    real = os.fsync

    def look(descriptor: int) -> None:
        seen.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
        real(descriptor)

    monkeypatch.setattr(os, "fsync", look)
    write_private(tmp_path / "secret", b"content")
    assert seen[0] == 0o600
    assert len(seen) == 2  # the file, then its directory


def test_a_write_that_fails_leaves_the_old_content_and_no_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk shows when the content is synced."""
    write_private(tmp_path / "record", b"old")

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InsufficientStorage, match="record"):
        write_private(tmp_path / "record", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["record"]
    assert (tmp_path / "record").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("number", "kind"),
    [(errno.ENOSPC, InsufficientStorage), (errno.EDQUOT, InsufficientStorage), (errno.EACCES, HostDirectoryError)],
)
def test_the_systems_errors_become_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    """A problem with a remedy, never a traceback."""

    def refuse(*_arguments: object, **_options: object) -> int:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(kind):
        write_private(tmp_path / "record", b"new")


def test_a_missing_file_is_none(tmp_path: Path) -> None:
    """Also when its directory is missing."""
    assert read_private(tmp_path / "none") is None
    assert read_private(tmp_path / "no" / "none", below=tmp_path) is None


def test_a_link_is_not_read(tmp_path: Path) -> None:
    """Wherever it leads."""
    (tmp_path / "target").write_bytes(b"elsewhere")
    (tmp_path / "link").symlink_to("target")
    with pytest.raises(HostDirectoryError, match="link"):
        read_private(tmp_path / "link")


def test_a_link_is_replaced_not_followed_when_written(tmp_path: Path) -> None:
    """The file it led to keeps its content."""
    (tmp_path / "target").write_bytes(b"elsewhere")
    (tmp_path / "link").symlink_to("target")
    write_private(tmp_path / "link", b"ours")
    assert (tmp_path / "target").read_bytes() == b"elsewhere"
    assert not (tmp_path / "link").is_symlink()


@pytest.mark.parametrize("depth", ["folder", "folder/inner"])
def test_a_directory_that_is_a_link_is_not_walked_through(tmp_path: Path, depth: str) -> None:
    """Neither to write nor to read nor to make directories below it."""
    outside, root = tmp_path / "outside", tmp_path / "root"
    (outside / "inner").mkdir(parents=True)
    root.mkdir()
    (root / "folder").symlink_to(outside)
    file = root / depth / "file"
    for attempt in (
        lambda: write_private(file, b"x", below=root),
        lambda: read_private(file, below=root),
        lambda: make_private_directory(root / depth / "new", below=root),
    ):
        with pytest.raises(HostDirectoryError):
            attempt()
    assert [path.name for path in outside.rglob("*")] == ["inner"]


def test_what_lies_above_may_be_a_link(tmp_path: Path) -> None:
    """A user may keep instances on another disk."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "root").symlink_to(tmp_path / "disk")
    make_private_directory(tmp_path / "root" / "folder", below=tmp_path / "root")
    write_private(tmp_path / "root" / "folder" / "file", b"x", below=tmp_path / "root")
    assert (tmp_path / "disk" / "folder" / "file").read_bytes() == b"x"


def test_a_pipe_in_the_place_of_a_file_does_not_hold_up(tmp_path: Path) -> None:
    """Opening it for reading would wait for a writer."""
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(HostDirectoryError, match="not a file"):
        read_private(tmp_path / "pipe")


def test_every_made_directory_is_private(tmp_path: Path) -> None:
    """The missing ones above it too; an existing one keeps its mode."""
    (tmp_path / "given").mkdir(mode=0o755)
    make_private_directory(tmp_path / "given" / "a" / "b", below=tmp_path)
    assert [mode(tmp_path / part) for part in ("given/a", "given/a/b")] == [0o700, 0o700]
    assert mode(tmp_path / "given") == 0o755


def test_a_file_in_the_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    """Nothing is removed to make room."""
    (tmp_path / "folder").write_bytes(b"")
    with pytest.raises(HostDirectoryError):
        make_private_directory(tmp_path / "folder")


def test_free_space_is_asked_of_the_nearest_directory_there_is(tmp_path: Path) -> None:
    """Before anything is made."""
    figures = os.statvfs(tmp_path)
    assert abs(free_bytes(tmp_path / "not" / "yet") - figures.f_bavail * figures.f_frsize) < 1024**3
