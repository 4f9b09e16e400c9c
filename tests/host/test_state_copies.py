"""Copies of KECS's own store: whole, hashed, the newest kept, and put back only where the original is lost."""

import hashlib
import os
import stat
from pathlib import Path

import pytest

from app.errors import InsufficientStorage
from app.host import state_copies
from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.host.kecs_store import StateStoreInUse, store_trouble
from app.host.state_copies import StateCopy, copy_path, list_copies, put_back, take_copy
from tests.host.stores import DEFAULT_CLUSTER, damage, hold_open, make_pgdata, make_store


def go_on() -> None:
    """Nobody ends the work."""


def copy(directory: InstanceDirectory, keep: int = 5) -> StateCopy:
    taken = take_copy(directory, keep=keep, go_on=go_on)
    assert taken is not None
    return taken


def contents(path: Path) -> dict[str, bytes]:
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def touch_again(path: Path) -> None:
    """As if KECS had written once more: another time at least."""
    status = path.stat()
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


def test_a_copy_is_the_store_byte_by_byte_with_its_hashes(directory: InstanceDirectory) -> None:
    """The write-ahead log too: what KECS wrote last is only there after a kill."""
    make_store(directory.data / "kecs.db")
    (directory.data / "kecs.db.wal").write_bytes(b"last words")
    taken = copy(directory)
    kept = copy_path(directory, taken)
    for file in taken.files:
        original = (directory.data / file.path).read_bytes()
        assert (kept / file.path).read_bytes() == original
        assert file.sha256 == hashlib.sha256(original).hexdigest()
    assert {file.path for file in taken.files} == {"kecs.db", "kecs.db.wal"}


def test_a_copy_is_private(directory: InstanceDirectory) -> None:
    """It holds everything that KECS knows, secrets of environments among it."""
    make_store(directory.data / "kecs.db")
    kept = copy_path(directory, copy(directory))
    assert {stat.S_IMODE(path.stat().st_mode) for path in (kept, kept.parent)} == {0o700}
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept.iterdir()} == {0o600}


def test_without_a_store_there_is_no_copy(directory: InstanceDirectory) -> None:
    """Nothing is made either."""
    assert take_copy(directory, keep=5, go_on=go_on) is None
    assert not (directory.path / "state-copies").exists()


def test_the_newest_are_kept(directory: InstanceDirectory) -> None:
    """And a store that nobody wrote to is not copied again."""
    make_store(directory.data / "kecs.db")
    names = []
    for _ in range(4):
        names.append(copy(directory, keep=2).name)
        assert copy(directory, keep=2).name == names[-1]
        touch_again(directory.data / "kecs.db")
    assert [one.name for one in list_copies(directory)] == names[:1:-1]


def test_the_last_copy_of_a_generation_is_never_dropped(directory: InstanceDirectory) -> None:
    """After a change of KECS's version the older store's copy is the only way back."""
    make_store(directory.data / "kecs.db")
    older = copy(directory).name
    (directory.data / "kecs.db").unlink()
    make_pgdata(directory.data)
    for _ in range(3):
        touch_again(directory.data / "postgres/pgdata/PG_VERSION")
        copy(directory, keep=1)
    assert [one.generations for one in list_copies(directory)] == [["postgres"], ["duckdb"]]
    assert list_copies(directory)[-1].name == older


def test_a_postgres_directory_is_copied_with_its_empty_directories(directory: InstanceDirectory) -> None:
    """A server does not start without them."""
    make_pgdata(directory.data)
    kept = copy_path(directory, copy(directory)) / "postgres/pgdata"
    assert contents(kept) == contents(directory.data / "postgres/pgdata")
    assert (kept / "pg_notify").is_dir()


@pytest.mark.parametrize("generation", ["duckdb", "postgres"])
def test_a_missing_store_is_put_back(directory: InstanceDirectory, generation: str) -> None:
    """As it was, and nothing is set aside where nothing was."""
    make_store(directory.data / "kecs.db") if generation == "duckdb" else make_pgdata(directory.data)
    before = contents(directory.data)
    copy(directory)
    for path in sorted(directory.data.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    [done] = put_back(directory, go_on)
    assert (done.generation, done.reason, done.kept_aside) == (generation, "missing", [])
    assert contents(directory.data) == before
    assert (directory.data / "postgres/pgdata/pg_notify").is_dir() == (generation == "postgres")


@pytest.mark.parametrize("how", ["empty", "foreign", "cut off", "link"])
def test_a_broken_store_is_set_aside_and_put_back(directory: InstanceDirectory, how: str) -> None:
    """Never removed: it may be what somebody can still save something from."""
    store = directory.data / "kecs.db"
    make_store(store)
    good = store.read_bytes()
    copy(directory)
    damage(store, how)
    (directory.data / "kecs.db.wal").write_bytes(b"of the broken one")
    [done] = put_back(directory, go_on)
    assert (store.read_bytes(), (directory.data / "kecs.db.wal").exists()) == (good, False)
    assert [Path(path).name.split(".broken-")[0] for path in done.kept_aside] == ["kecs.db", "kecs.db.wal"]
    assert all(os.path.lexists(path) for path in done.kept_aside)


def test_a_sound_store_is_left_alone(directory: InstanceDirectory) -> None:
    """Also one that is newer than every copy."""
    make_store(directory.data / "kecs.db")
    copy(directory)
    make_store(directory.data / "kecs.db", clusters=[DEFAULT_CLUSTER])
    before = contents(directory.data)
    assert put_back(directory, go_on) == []
    assert contents(directory.data) == before


def test_an_older_generation_does_not_come_back_beside_the_newer(directory: InstanceDirectory) -> None:
    """Whoever removed kecs.db after the change to Postgres meant it."""
    make_store(directory.data / "kecs.db")
    make_pgdata(directory.data)
    assert copy(directory).generations == ["postgres", "duckdb"]
    (directory.data / "kecs.db").unlink()
    assert put_back(directory, go_on) == []


def test_a_broken_store_displaces_no_copy(directory: InstanceDirectory) -> None:
    """It is not copied at all."""
    make_store(directory.data / "kecs.db")
    name = copy(directory, keep=1).name
    damage(directory.data / "kecs.db", "empty")
    assert take_copy(directory, keep=1, go_on=go_on) is None
    assert [one.name for one in list_copies(directory)] == [name]


def test_a_changed_copy_is_not_put_back(directory: InstanceDirectory) -> None:
    """Found before anything is touched."""
    make_store(directory.data / "kecs.db")
    taken = copy(directory)
    with (copy_path(directory, taken) / "kecs.db").open("r+b") as file:
        file.seek(20_000)
        file.write(b"rot")
    (directory.data / "kecs.db").write_bytes(b"")
    with pytest.raises(HostDirectoryError, match="sha256"):
        put_back(directory, go_on)
    assert contents(directory.data) == {"kecs.db": b""}


def test_a_store_that_somebody_has_open_is_not_copied(directory: InstanceDirectory) -> None:
    """By DuckDB's own lock, held by another process."""
    make_store(directory.data / "kecs.db")
    with hold_open(directory.data / "kecs.db"), pytest.raises(StateStoreInUse, match="another process"):
        copy(directory)
    assert list_copies(directory) == []
    copy(directory)


def test_a_full_disk_leaves_no_part_of_a_copy(directory: InstanceDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked before, since a disk filled to its end hurts more than a missing copy."""
    make_store(directory.data / "kecs.db")
    monkeypatch.setattr(state_copies, "MARGIN_BYTES", 2**62)
    with pytest.raises(InsufficientStorage, match="bytes free"):
        copy(directory)
    assert list((directory.path / "state-copies").iterdir()) == []


def test_work_that_is_ended_leaves_no_part_of_a_copy(directory: InstanceDirectory) -> None:
    """And what a killed attempt left goes with the next copy."""
    make_store(directory.data / "kecs.db")

    def end() -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        take_copy(directory, keep=5, go_on=end)
    folder = directory.path / "state-copies"
    assert list(folder.iterdir()) == []
    (folder / ".20261123T0900.dead").mkdir()
    name = copy(directory).name
    assert [path.name for path in folder.iterdir()] == [name]


def test_links_are_not_followed_out_of_the_instance(directory: InstanceDirectory, tmp_path: Path) -> None:
    """Pods write there: a link must not make us copy somebody's file to where it can be read."""
    secret = tmp_path / "secret"
    make_store(secret)
    (directory.data / "kecs.db").symlink_to(secret)
    assert "cannot be read" in store_trouble(directory, "duckdb")
    assert take_copy(directory, keep=5, go_on=go_on) is None
    make_pgdata(directory.data)
    (directory.data / "postgres/pgdata/pg_wal").symlink_to(tmp_path)
    with pytest.raises(HostDirectoryError, match="link"):
        copy(directory)
