"""Whose part of a store it is."""

import pytest

from app.storage.errors import ForeignPrefix
from app.storage.ownership import OWNER_KEY, claim, refuse_foreign
from app.storage.s3 import S3Store

PLACE = "https://s3.example.com/shared/team/shop"


async def test_a_free_place_is_claimed_once_and_for_good(part: S3Store) -> None:
    """Claiming it again is success, also when backups lie there meanwhile."""
    assert await refuse_foreign(part, "mine", PLACE) is True
    await claim(part, "mine", PLACE)
    await part.put("backups/one/velero-backup.json", b"{}")
    await claim(part, "mine", PLACE)
    assert await refuse_foreign(part, "mine", PLACE) is False


async def test_looking_claims_nothing(part: S3Store) -> None:
    """The preflight changes nothing."""
    await refuse_foreign(part, None, PLACE)
    assert await part.list_objects("") == []


async def test_another_instances_place_is_refused_and_left_as_it_is(part: S3Store) -> None:
    """The problem names the place, the owner and the ways out."""
    await claim(part, "theirs", PLACE)
    with pytest.raises(ForeignPrefix, match="'theirs'") as refused:
        await claim(part, "mine", PLACE)
    assert PLACE in refused.value.detail
    assert "KECS_STATE_STORAGE__PREFIX" in refused.value.remedy
    assert b"theirs" in await part.get(OWNER_KEY)


async def test_backups_without_an_owner_are_somebody_elses(part: S3Store) -> None:
    """Another Velero may write there."""
    await part.put("backups/nightly/velero-backup.json", b"{}")
    with pytest.raises(ForeignPrefix, match="nothing says whose"):
        await claim(part, "mine", PLACE)
    assert [stored.key for stored in await part.list_objects("")] == ["backups/nightly/velero-backup.json"]


@pytest.mark.parametrize("content", [b"", b"[]", b"nonsense", b"\xff", b"{}"])
async def test_an_owner_that_cannot_be_read_is_nobody_we_know(part: S3Store, content: bytes) -> None:
    """It is not overwritten."""
    await part.put(OWNER_KEY, content)
    with pytest.raises(ForeignPrefix):
        await claim(part, "mine", PLACE)
    assert await part.get(OWNER_KEY) == content
