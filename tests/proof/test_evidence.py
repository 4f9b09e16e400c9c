"""Proofs on the host: durable, private, listed newest first, and never behind a link."""

import stat
from datetime import timedelta
from pathlib import Path

import pytest

from app.host.files import HostDirectoryError
from app.host.instance_directory import InstanceDirectory
from app.proof.evidence import delete_proof, find_proof, list_proofs, save_proof, small_object
from app.proof.models import CanaryResult, Finding, ObjectKey, Proof
from tests.proof.archives import NOW


def a_proof(backup: str = "b1", minutes: int = 0) -> Proof:
    """A failed one, which is kept as well."""
    key = ObjectKey(resource="pods", namespace="shop", name="web")
    return Proof(
        backup=backup,
        backup_uid="u",
        instance_id="i",
        cluster_uid="c",
        scope="full",
        verdict="failed",
        started_at=NOW,
        finished_at=NOW + timedelta(minutes=minutes),
        objects=[],
        size_bytes=0,
        items_in_inventory=1,
        items_in_backup=0,
        items_explained=0,
        findings=[Finding(code="absent", detail="it is not there", object=key)],
        findings_total=1,
        canary=CanaryResult(status="found", path="velero/x"),
    )


def test_a_proof_comes_back_whole(directory: InstanceDirectory) -> None:
    """With the backup's small objects."""
    save_proof(directory, a_proof(), {"b1-logs.gz": b"log"})
    assert find_proof(directory, "b1") == a_proof()
    assert small_object(directory, "b1", "b1-logs.gz") == b"log"


def test_evidence_is_private(directory: InstanceDirectory) -> None:
    """Logs may tell what a cluster holds."""
    save_proof(directory, a_proof(), {"b1-logs.gz": b"log"})
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in directory.path.rglob("*")}
    assert modes == {"proofs": 0o700, "b1": 0o700, "proof.json": 0o600, "b1-logs.gz": 0o600}


def test_an_object_of_the_backup_cannot_pass_for_the_proof(directory: InstanceDirectory) -> None:
    """Whoever can write to the bucket could put one there."""
    save_proof(directory, a_proof(), {"proof.json": b'{"verdict": "proven"}'})
    assert find_proof(directory, "b1") == a_proof()


def test_what_was_never_proven_has_no_proof(directory: InstanceDirectory) -> None:
    """And asking makes nothing."""
    assert find_proof(directory, "b1") is None
    assert small_object(directory, "b1", "b1-logs.gz") is None
    assert list_proofs(directory) == []
    delete_proof(directory, "b1")
    assert list(directory.path.iterdir()) == []


def test_proofs_are_listed_newest_first_without_the_broken(directory: InstanceDirectory) -> None:
    """One bad file must not hide the others."""
    for name, minutes in (("b1", 1), ("b2", 3), ("b3", 2), ("broken", 4)):
        save_proof(directory, a_proof(name, minutes), {})
    (directory.proofs_directory / "broken" / "proof.json").write_text("{")
    assert [proof.backup for proof in list_proofs(directory)] == ["b2", "b3", "b1"]


def test_a_broken_proof_is_named(directory: InstanceDirectory) -> None:
    """It is not as if there had never been one."""
    save_proof(directory, a_proof(), {})
    (directory.proofs_directory / "b1" / "proof.json").write_text("{")
    with pytest.raises(HostDirectoryError, match=r"proofs/b1/proof\.json"):
        find_proof(directory, "b1")


def test_a_deleted_proof_is_gone_with_its_objects(directory: InstanceDirectory) -> None:
    """The others stay."""
    save_proof(directory, a_proof("b1"), {"x": b"1"})
    save_proof(directory, a_proof("b2"), {})
    delete_proof(directory, "b1")
    delete_proof(directory, "b1")
    assert [proof.backup for proof in list_proofs(directory)] == ["b2"]


@pytest.mark.parametrize("name", ["../x", "/etc", ".", "..", "", "a/b"])
def test_a_name_that_leads_elsewhere_is_refused(directory: InstanceDirectory, name: str) -> None:
    """It comes from a URL."""
    for attempt in (find_proof, delete_proof):
        with pytest.raises(HostDirectoryError):
            attempt(directory, name)
    with pytest.raises(HostDirectoryError):
        small_object(directory, "b1", name or "..")


@pytest.mark.parametrize("place", ["proofs", "proofs/b1"])
def test_a_link_in_the_place_of_evidence_is_neither_read_nor_written_nor_emptied(
    directory: InstanceDirectory, tmp_path: Path, place: str
) -> None:
    """What lies behind it stays as it is."""
    outside = tmp_path / "outside" / "b1"
    outside.mkdir(parents=True)
    (outside / "proof.json").write_text(a_proof().model_dump_json())
    target = outside if place == "proofs/b1" else outside.parent
    (directory.path / place).parent.mkdir(exist_ok=True)
    (directory.path / place).symlink_to(target)
    for attempt in (
        lambda: find_proof(directory, "b1"),
        lambda: save_proof(directory, a_proof(), {"x": b""}),
        lambda: delete_proof(directory, "b1"),
    ):
        with pytest.raises(HostDirectoryError):
            attempt()
    assert [path.name for path in outside.iterdir()] == ["proof.json"]
