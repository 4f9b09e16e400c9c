"""The verdict as a table: what is in the archive, what was listed, what lives now."""

from typing import Any

import pytest

from app.proof.archive import Archive, ArchivedObject
from app.proof.models import Finding, Inventory, InventoryItem, ObjectKey
from app.proof.verdict import judge, suspects, verdict_of
from tests.proof.archives import NOW

KEY = ObjectKey(resource="deployments.apps", namespace="shop", name="web")


def verdict(archived: tuple[str, str] | None, listed: str, live: str | None) -> tuple[list[Finding], int]:
    """One object: UID and version in the archive, its version when listed as ``u1``, its UID now."""
    archive = Archive()
    if archived is not None:
        archive.items[KEY] = ArchivedObject(*archived, controller="", not_restorable="")
    inventory = Inventory(taken_at=NOW, items=[InventoryItem(key=KEY, uid="u1", resource_version=listed)])
    return judge(suspects(inventory, archive), archive, {KEY: live})


@pytest.mark.parametrize(
    ("archived", "listed", "live", "codes", "explained"),
    [
        pytest.param(("u1", "10"), "10", "u1", [], 0, id="as listed"),
        pytest.param(("u1", "11"), "10", "u1", [], 0, id="changed before the backup"),
        pytest.param(("u1", "11"), "10", None, [], 0, id="deleted after the backup"),
        pytest.param(("u1", "100"), "99", "u1", [], 0, id="versions are numbers, not words"),
        pytest.param(("u1", "99"), "100", "u1", ["older"], 0, id="an older version"),
        pytest.param(("u1", "9"), "10", None, ["older"], 0, id="an older version of what is gone"),
        pytest.param(("u0", "9"), "10", "u1", ["older"], 0, id="an older object of that name"),
        pytest.param(("u2", "11"), "10", "u2", [], 0, id="made anew before the backup"),
        pytest.param(None, "10", "u1", ["absent"], 0, id="left out"),
        pytest.param(None, "10", None, [], 1, id="gone or going"),
        pytest.param(None, "10", "u2", [], 1, id="made anew after the backup"),
        pytest.param(("u1", "abc"), "abc", "u1", [], 0, id="the same opaque version"),
        pytest.param(("u1", "abc"), "abd", "u1", ["older"], 0, id="another opaque version"),
        pytest.param(("u2", "abc"), "abd", "u2", [], 0, id="opaque versions of two objects"),
        pytest.param(("u1", "²"), "10", "u1", ["older"], 0, id="digits that are no number"),
        pytest.param(("u1", ""), "10", "u1", ["older"], 0, id="no version at all"),
    ],
)
def test_an_object_fails_the_proof_only_if_it_was_lost(
    archived: tuple[str, str] | None, listed: str, live: str | None, codes: list[str], explained: int
) -> None:
    """Absent though still live with the same UID, or there in an older version."""
    findings, gone = verdict(archived, listed, live)
    assert [finding.code for finding in findings] == codes
    assert gone == explained


def test_a_finding_names_its_object_in_words_and_as_a_value() -> None:
    """For people and for programs."""
    findings, _ = verdict(None, "10", "u1")
    assert findings[0].object == KEY
    assert "deployments.apps shop/web" in findings[0].detail


def test_what_only_the_archive_has_is_no_matter() -> None:
    """Objects made between the list and the backup, and what Velero adds by itself."""
    archive = Archive()
    archive.items[KEY] = ArchivedObject("u", "1", controller="", not_restorable="")
    assert suspects(Inventory(taken_at=NOW, items=[]), archive) == []


@pytest.mark.parametrize(
    ("codes", "level", "accept_partial", "verdict"),
    [
        ([], "deep", False, "proven"),
        ([], "deep", True, "proven"),
        ([], "quick", False, "accepted"),
        (["phase"], "deep", False, "failed"),
        (["phase"], "quick", False, "failed"),
        (["phase"], "quick", True, "accepted"),
        (["phase", "results", "absent", "volumes"], "deep", True, "accepted"),
        (["absent"], "deep", True, "failed"),
        (["phase", "contents"], "deep", True, "failed"),
        (["phase", "canary"], "deep", True, "failed"),
        (["phase", "identity"], "quick", True, "failed"),
    ],
)
def test_only_what_a_partial_failure_explains_is_ever_accepted(
    codes: list[Any], level: Any, accept_partial: bool, verdict: str
) -> None:
    """A quick look proves nothing; damage, and what is missing though Velero calls it complete, is never accepted."""
    findings = [Finding(code=code, detail="") for code in codes]
    assert verdict_of(findings, level=level, accept_partial=accept_partial) == verdict
