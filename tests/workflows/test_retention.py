"""Which backups keep-last-N lets go of: one instance's rows, newest first."""

from datetime import UTC, datetime, timedelta

from app.jobs.models import BackupRecord
from app.workflows.retention import victims

NEWEST = datetime(2026, 1, 1, tzinfo=UTC)


def rows(*kinds: str) -> list[BackupRecord]:
    """``proven``, ``accepted partial`` and so on, newest first, named by kind and place."""
    made = []
    for number, kind in enumerate(kinds):
        status, _, rest = kind.partition(" ")
        made.append(
            BackupRecord(
                host="h",
                instance="i",
                instance_id="id",
                name=f"{status}-{number}",
                scope="partial" if "partial" in rest else "full",
                status=status,
                pinned="pinned" in rest,
                created_at=NEWEST - timedelta(hours=number),
            )
        )
    return made


def test_the_newest_stay_and_the_oldest_goes_first() -> None:
    """Of proven full ones."""
    assert victims(rows("proven", "proven", "proven", "proven"), 2, set()) == ["proven-3", "proven-2"]


def test_accepted_ones_displace_no_proven_one() -> None:
    """However many there are: they are counted among themselves."""
    found = victims(rows(*["accepted"] * 4, "proven", "proven"), 2, set())
    assert found == ["accepted-3", "accepted-2"]


def test_accepted_ones_stay_beside_the_proven() -> None:
    """An older one than the oldest proven is still among the newest of its kind."""
    assert victims(rows("proven", "proven", "accepted", "unproven"), 2, set()) == ["unproven-3"]


def test_partial_ones_are_counted_apart() -> None:
    """Proven or accepted."""
    found = victims(
        rows("proven", "proven partial", "accepted partial", "proven partial", "accepted partial"), 1, set()
    )
    assert found == ["accepted-4", "proven-3"]


def test_what_is_pinned_or_due_stays_without_counting() -> None:
    """The newest of the others are kept beside them."""
    assert victims(rows("proven pinned", "proven", "proven", "proven"), 1, {"proven-3"}) == ["proven-2"]


def test_tries_stay_until_enough_newer_ones_are_proven() -> None:
    """A part of one may be all there is."""
    assert victims(rows("proven", "unproven", "unproven"), 2, set()) == []
    assert victims(rows("proven", "unproven", "unproven"), 1, set()) == ["unproven-2", "unproven-1"]
