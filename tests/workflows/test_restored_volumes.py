"""What came of a volume's data in a restore, as a table; no cluster needed for that."""

from typing import Any

import pytest

from app.velero.pod_volumes import PodVolumeOperation, parse_operation
from app.workflows.outcomes import Comparison
from app.workflows.restored_volumes import outcome_of, with_missing_volumes


def operation(uid: str = "new", claim: str = "", phase: str = "Completed", message: str = "") -> PodVolumeOperation:
    """A PodVolumeBackup or PodVolumeRestore of volume ``data`` of pod ``web/api``."""
    annotations = {"velero.io/pvc-name": claim} if claim else None
    pod = {"namespace": "web", "name": "api", "uid": uid}
    status = {"phase": phase, "message": message, "progress": {"totalBytes": 7}}
    document: dict[str, Any] = {"metadata": {"name": "x", "annotations": annotations}}
    return parse_operation(document | {"spec": {"pod": pod, "volume": "data"}, "status": status})


LIVE = {("web", "api"): "new"}
FAILED = operation(phase="Failed", message="no space left")


@pytest.mark.parametrize(
    ("restore", "live", "survived", "outcome", "reason"),
    [
        (operation(), LIVE, False, "restored", ""),
        (FAILED, LIVE, False, "missing", "Failed no space left"),
        (operation(phase=""), LIVE, False, "missing", "unfinished"),
        (None, LIVE, False, "missing", "before its data could come back"),
        (None, LIVE, True, "kept", "survived"),
        (operation(uid="old"), LIVE, False, "missing", "replaced"),
        (operation(), {}, False, "missing", "replaced"),
    ],
)
def test_only_data_in_a_pod_that_is_there_counts_as_restored(
    restore: PodVolumeOperation | None, live: dict[tuple[str, str], str], survived: bool, outcome: str, reason: str
) -> None:
    """Velero's Completed is not enough when a controller has replaced the pod since."""
    found = outcome_of(operation(), restore, live, survived=survived)
    assert found.outcome == outcome
    assert reason in found.reason


def test_a_claims_data_outlives_its_pod() -> None:
    """It lies in the claim, whichever pod mounts it now."""
    assert outcome_of(operation(claim="db"), operation(claim="db"), {}, survived=False).outcome == "restored"


def test_volumes_that_did_not_come_back_are_missing_like_objects() -> None:
    """So the restore stays due; what is there says nothing."""
    good = outcome_of(operation(), operation(), LIVE, survived=False)
    lost = outcome_of(operation(), FAILED, LIVE, survived=False)
    missing = with_missing_volumes(Comparison(missing=["pods web/other"]), [good, lost]).missing
    assert missing == ["pods web/other", "volume web/api:data (Failed no space left)"]
