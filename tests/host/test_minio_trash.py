"""Emptying MinIO's trash: that and nothing else."""

from pathlib import Path

import pytest

from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.host.minio_trash import PLACES, empty_trash


def fill(directory: InstanceDirectory) -> list[Path]:
    """A deleted object in each place of the trash."""
    made = [directory.minio_directory / place / "0198" / "xl.meta.bkp" for place in PLACES]
    for path in made:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"in clear")
    return made


def test_what_was_deleted_goes_and_what_is_stored_stays(directory: InstanceDirectory) -> None:
    """The places themselves stay too: MinIO renames into them."""
    made = fill(directory)
    stored = directory.minio_directory / "velero" / "key" / "xl.meta"
    stored.parent.mkdir(parents=True)
    stored.write_bytes(b"kept")
    empty_trash(directory)
    assert [path.parent.exists() for path in made] == [False, False]
    assert [path.parent.parent.is_dir() for path in made] == [True, True]
    assert stored.read_bytes() == b"kept"


def test_nothing_to_empty_is_no_error(directory: InstanceDirectory) -> None:
    """A store that was never started."""
    empty_trash(directory)
    assert not directory.minio_directory.exists()


def test_a_link_in_the_trash_is_not_followed(directory: InstanceDirectory, tmp_path: Path) -> None:
    """What it leads to is not MinIO's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("kept")
    trash = fill(directory)[0].parent.parent
    (trash / "link").symlink_to(outside)
    empty_trash(directory)
    assert list(trash.iterdir()) == []
    assert (outside / "mine").read_text() == "kept"


def test_a_link_in_the_place_of_the_trash_is_refused(directory: InstanceDirectory, tmp_path: Path) -> None:
    """It would empty something else."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "mine").write_text("kept")
    place = directory.minio_directory / PLACES[0]
    place.parent.mkdir(parents=True)
    place.symlink_to(outside)
    with pytest.raises(HostDirectoryError, match="link"):
        empty_trash(directory)
    assert (outside / "mine").read_text() == "kept"
