"""A store below a prefix sees and touches nothing else of the bucket."""

from pathlib import Path

from app.storage.s3 import S3Store


async def test_keys_are_relative_to_the_prefix(whole: S3Store, part: S3Store) -> None:
    """In every call that takes or gives one."""
    await part.put("backups/one/velero-backup.json", b"{}")
    (stored,) = await whole.list_objects("")
    assert stored.key == f"{part.prefix}/backups/one/velero-backup.json"
    assert [stored.key for stored in await part.list_objects("backups/")] == ["backups/one/velero-backup.json"]
    assert await part.get("backups/one/velero-backup.json") == b"{}"


async def test_neighbours_are_out_of_reach(whole: S3Store, part: S3Store) -> None:
    """Also one whose name begins in the same way."""
    await whole.put(f"{part.prefix}0/backups/theirs/log", b"x")
    await whole.put("backups/theirs/log", b"x")
    assert await part.list_objects("") == []
    await part.delete(["backups/theirs/log"])
    assert len(await whole.list_objects("")) == 2


async def test_a_file_is_uploaded_as_it_is(part: S3Store, tmp_path: Path) -> None:
    """Its hash is that of what is read back."""
    (tmp_path / "sent").write_bytes(bytes(range(256)) * 4096)
    await part.upload(tmp_path / "sent", "backups/one/one.tar.gz")
    found = await part.download("backups/one/one.tar.gz", tmp_path / "got")
    assert found.size == 256 * 4096
    assert (tmp_path / "got").read_bytes() == (tmp_path / "sent").read_bytes()
