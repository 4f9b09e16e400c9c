"""What people read at the end of a job, made from the very models that workflows end with."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import BaseModel

from app.cli.printing import MOST_LISTED, print_job_end, size
from app.workflows.migrating import MigrateResult, MigrationCheck
from app.workflows.moving import MoveResult
from app.workflows.outcomes import (
    ChangedObject,
    Comparison,
    DifferingObject,
    KecsRestoration,
    ProofSummary,
    RestoredVolume,
    RestoreOutcome,
    StartResult,
    StopResult,
)

BEGAN = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
PROOF = ProofSummary(
    backup="stop-backup-demo-1",
    verdict="proven",
    finished_at=BEGAN + timedelta(seconds=7),
    seconds=1.5,
    objects_hashed=9,
    size_bytes=2_097_152,
    items_in_inventory=84,
    items_in_backup=85,
    items_explained=1,
    canary="found",
    sha256={"velero-backup.json": "ab" * 32},
)


def job(result: BaseModel, **fields: Any) -> dict[str, Any]:
    """A succeeded job with this result, as the API shows it."""
    return {
        "type": "stop", "instance_name": "demo", "status": "succeeded", "created_at": BEGAN.isoformat(),
        "finished_at": (BEGAN + timedelta(seconds=9)).isoformat(), "warnings": [],
        "result": result.model_dump(mode="json"),
    } | fields  # fmt: skip


def test_a_stop_ends_with_its_proof(capsys: pytest.CaptureFixture[str]) -> None:
    """Objects, bytes, items, hashes, canary and age."""
    print_job_end(job(StopResult(protected=True, backup="stop-backup-demo-1", proof=PROOF)))
    printed = capsys.readouterr().out
    for figure in ("in 9.0 s", "9 objects, 2.0 MiB", "85 items", "84 in the inventory", "found; age 2.0 s", "abababab"):
        assert figure in printed


def test_an_unprotected_stop_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """The word is there in capitals, with the reason."""
    print_job_end(job(StopResult(protected=False, reason="no backup was asked for")))
    printed = capsys.readouterr().out
    assert "NO (unprotected)" in printed
    assert "no backup was asked for" in printed


def test_volumes_are_told_by_their_bytes_and_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """Saved: how much, and how much of it was new. Restored: which."""
    proof = PROOF.model_copy(
        update={"volumes_saved": 2, "volumes_size_bytes": 3 * 1024**3, "volumes_uploaded_bytes": 512}
    )
    volume = RestoredVolume(namespace="web", pod="a", volume="data", outcome="restored", size_bytes=7)
    restored = RestoreOutcome(backup="b", restores=["b-1"], comparison=Comparison(), volumes=[volume])
    print_job_end(job(StopResult(protected=True, backup="b", proof=proof)))
    print_job_end(job(StartResult(noop=False, action="restore", reason="recreated", restored=restored)))
    printed = capsys.readouterr().out
    assert "volumes: 2 saved with 3.0 GiB, of which 512 B were new" in printed
    assert "  web/a:data" in printed


def test_a_start_lists_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """Missing and differing objects by name."""
    comparison = Comparison(
        compared=80,
        equal=78,
        missing=["secrets web/token"],
        differing=[DifferingObject(object="pods web/a", fields=[])],
    )
    restored = RestoreOutcome(backup="b", restores=["b-1"], created=79, comparison=comparison)
    print_job_end(job(StartResult(noop=False, action="restore", reason="recreated", backup="b", restored=restored)))
    printed = capsys.readouterr().out
    assert "missing 1, differing 1" in printed
    assert "secrets web/token" in printed
    assert "pods web/a" in printed


def test_long_lists_are_cut_and_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred changed objects do not bury the rest."""
    changed = [ChangedObject(change="added", object=f"pods web/p{number}") for number in range(100)]
    print_job_end(job(StopResult(protected=True, backup="b", changed_since_backup=changed)))
    printed = capsys.readouterr().out
    assert printed.count("pods web/p") == MOST_LISTED
    assert "and 80 more" in printed


@pytest.mark.parametrize(("count", "text"), [(0, "0 B"), (1023, "1023 B"), (1536, "1.5 KiB"), (3 * 1024**3, "3.0 GiB")])
def test_sizes_are_readable(count: int, text: str) -> None:
    """Binary units."""
    assert size(count) == text


def test_a_move_ends_with_where_the_backups_lie(capsys: pytest.CaptureFixture[str]) -> None:
    """What was moved, what was not, and that nothing was removed."""
    moved = MoveResult(
        source="MinIO in the cluster",
        target="https://s3/b/demo",
        moved=["one"],
        left_behind=["two"],
        note="not removed",
    )
    print_job_end(job(moved, type="move-storage"))
    printed = capsys.readouterr().out
    assert "backups lie  in https://s3/b/demo" in printed
    for part in ("moved", "one", "left behind, not proven", "two", "not removed"):
        assert part in printed


def test_a_state_that_kecs_restored_says_what_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    """By name, and how much came back."""
    kecs = KecsRestoration(
        told_by="duckdb", server_restarted=False, brought_back=["service shop/web"], missing=["task shop/t1"], seconds=2
    )
    ended = StartResult(noop=False, action="nothing-to-restore", reason="no backup", kecs_restored=kecs)
    print_job_end(job(ended, type="start"))
    printed = capsys.readouterr().out
    assert "1 brought back by its own restoration" in printed
    assert "MISSING (1):" in printed
    assert "task shop/t1" in printed


def test_a_migration_says_what_was_held_against_what(capsys: pytest.CaptureFixture[str]) -> None:
    """Both numbers, and the names of what one side lacks."""
    check = MigrationCheck(source="copy", as_of=None, covered=8, missing=["service shop/web"], extra=["task shop/t2"])
    ended = MigrateResult(switched=True, use_velero_backup=True, reason="its policy says so", checked=check)
    print_job_end(job(ended, type="migrate"))
    printed = capsys.readouterr().out
    assert "of 9; 8 are in the backup" in printed
    assert "NOT IN THE BACKUP (1):" in printed
    assert "only in the backup (1):" in printed
