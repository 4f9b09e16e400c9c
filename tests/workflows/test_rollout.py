"""ADR-0025's three versions: who decides whether Velero is used, and what a stop and a start do without it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from app.errors import VeleroBackupRequired
from app.host.config import InstanceConfig, Policy
from app.host.instance_directory import InstanceDirectory
from app.settings import Settings
from app.workflows.requests import StartRequest, StopRequest
from app.workflows.rollout import choose_velero
from tests.instances import NAME
from tests.product import sandbox_product

#: rollout, the service's flag, the instance's policy, the request; then: used, by whose word; or the refusal's.
TABLE = [
    ("opt-in", None, None, None, False, "the rollout is 'opt-in'"),
    ("opt-in", True, None, None, True, "the service's flag"),
    ("opt-in", None, True, None, True, "the instance's policy"),
    ("opt-in", None, None, True, True, "the request"),
    ("opt-in", True, False, None, False, "the instance's policy"),
    ("opt-in", True, True, False, False, "the request"),
    ("opt-in", False, False, True, True, "the request"),
    ("default", None, None, None, True, "the rollout is 'default'"),
    ("default", False, None, None, False, "the service's flag"),
    ("default", False, True, None, True, "the instance's policy"),
    ("default", None, False, None, False, "the instance's policy"),
    ("default", False, False, True, True, "the request"),
    ("default", True, True, False, False, "the request"),
    ("only", None, None, None, True, "the rollout is 'only'"),
    ("only", True, True, True, True, "the request"),
    ("only", None, False, True, True, "the request"),
    ("only", None, None, False, None, "the request"),
    ("only", None, False, None, None, "the instance's policy"),
    ("only", True, False, None, None, "the instance's policy"),
]


@pytest.mark.parametrize(("rollout", "flag", "policy", "request_says", "used", "by"), TABLE)
def test_the_first_that_says_anything_decides(
    rollout: Any, flag: bool | None, policy: bool | None, request_says: bool | None, used: bool | None, by: str
) -> None:
    """Request, then instance, then the service's flag, then the stage; in the last stage no word against it counts."""
    settings = Settings(rollout=rollout, use_velero_backup=flag)
    config = InstanceConfig(instance_id="i", created_at=datetime.now(UTC), policy=Policy(use_velero_backup=policy))
    if used is None:
        with pytest.raises(VeleroBackupRequired, match=by):
            choose_velero(settings, config, wish=request_says)
    else:
        choice = choose_velero(settings, config, wish=request_says)
        assert (choice.use, choice.because.startswith(by)) == (used, True)


def test_the_last_stage_refuses_a_flag_against_it() -> None:
    """When the service begins, not at the first stop."""
    with pytest.raises(ValidationError, match="use_velero_backup"):
        Settings(rollout="only", use_velero_backup=False)


@pytest.mark.parametrize(
    "body",
    [
        {"use_velero_backup": False, "backup": {"mode": "required"}},
        {"use_velero_backup": False, "backup": {"validate": "deep"}},
        {"use_velero_backup": True, "backup": {"mode": "skip"}},
    ],
)
def test_a_stop_says_one_thing(body: dict[str, Any]) -> None:
    """No field of a request is ignored in favour of another."""
    with pytest.raises(ValidationError, match="use_velero_backup"):
        StopRequest.model_validate(body)


@pytest.mark.parametrize(
    "body",
    [
        {"use_velero_backup": False, "restore": {"backup_id": "b"}},
        {"use_velero_backup": True, "restore": {"mode": "never"}},
    ],
)
def test_a_start_says_one_thing(body: dict[str, Any]) -> None:
    """Likewise."""
    with pytest.raises(ValidationError, match="use_velero_backup"):
        StartRequest.model_validate(body)


async def test_opt_in_backs_up_only_when_asked_and_then_restores_unasked(tmp_path: Path) -> None:
    """Version 1.0."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in") as product:
        job = await product.stop()
        assert (job["result"]["protected"], job["result"]["backup"]) == (False, None)
        assert "opt-in" in job["result"]["reason"]
        await product.start()
        job = await product.service.run(f"/instances/{NAME}/stop", {"use_velero_backup": True})
        assert job["result"]["protected"] is True
        await product.recreate()
        job = await product.start()
        assert (job["result"]["action"], job["result"]["restored"]["comparison"]["missing"]) == ("restore", [])


async def test_asking_for_a_kind_of_backup_asks_for_one(tmp_path: Path) -> None:
    """A caller who says `required` must not be powered off unprotected by a stage."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in") as product:
        job = await product.stop(mode="required")
        assert job["result"]["protected"] is True


async def test_the_default_warns_who_does_without(tmp_path: Path) -> None:
    """Version 1.1: Velero unless somebody says no, and then what that leaves; nothing is brought back either."""
    async with sandbox_product(tmp_path) as product:
        backup = (await product.stop())["result"]["backup"]
        await product.start()
        job = await product.service.run(f"/instances/{NAME}/stop", {"use_velero_backup": False})
        assert job["result"]["protected"] is False
        assert [warning["code"] for warning in job["warnings"]] == ["duckdb-deprecated"]
        await product.recreate()
        job = await product.service.run(f"/instances/{NAME}/start", {"use_velero_backup": False})
        assert (job["result"]["action"], job["result"]["restored"]) == ("power-on-only", None)
        assert job["result"]["restore_outstanding"] == backup


async def test_an_instance_of_its_own_mind_is_stopped_as_it_says(tmp_path: Path) -> None:
    """Its policy lies in config.json and travels with it."""
    async with sandbox_product(tmp_path) as product:
        await product.back_up()
        directory = InstanceDirectory.open(product.state_dir / "instances", NAME)
        directory.update_config(policy=Policy(use_velero_backup=False))
        job = await product.stop()
        assert (job["result"]["protected"], "policy" in job["result"]["reason"]) == (False, True)


async def test_the_last_stage_names_the_way_out(tmp_path: Path) -> None:
    """Version 1.2: refused before anything is touched; a stop without any backup is still there to be asked for."""
    async with sandbox_product(tmp_path, ROLLOUT="only") as product:
        for operation in ("stop", "start"):
            refused = await product.service.post(f"/instances/{NAME}/{operation}", {"use_velero_backup": False})
            assert (refused.status_code, refused.json()["code"]) == (422, "velero-backup-required")
            assert "skip" in refused.json()["remedy"]
        assert (await product.stop(mode="skip"))["result"]["protected"] is False
