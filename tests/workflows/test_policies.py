"""The request, else the instance's policy, else the setting: field by field, and nothing in any other way."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from app.clusters.sandbox import SandboxClusters
from app.host.config import Policy
from app.settings import Settings, WorkflowSettings
from app.workflows.identity import new_record
from app.workflows.policies import Rules, decide
from app.workflows.world import InstanceSession, World

if TYPE_CHECKING:
    from app.jobs.repository import JobStore

#: Every field with a value that is not the setting's.
SAID: dict[str, Any] = {
    "use_velero_backup": False,
    "keep_last": 2,
    "validate": "quick",
    "on_partial": "accept",
    "exclude_namespaces": ["scratch-*"],
    "volumes": "refuse",
    "encryption": "at-rest",
    "stack": "resident",
    "rerun_tasks": "skip",
    "job_timeout_seconds": 1000.0,
    "backup_timeout_seconds": 700.0,
    "restore_timeout_seconds": 701.0,
    "workloads_timeout_seconds": 121.0,
}


def test_a_policy_and_the_rules_have_the_same_fields() -> None:
    """What can be said is what is decided."""
    assert set(Policy.model_fields) == set(Rules.model_fields)
    assert {field.alias or name for name, field in Policy.model_fields.items()} == set(SAID)


@pytest.mark.parametrize("key", SAID)
def test_each_field_is_the_policys_before_the_settings(key: str) -> None:
    """And the request's before both."""
    said, silent = Policy.model_validate({key: SAID[key]}), decide(Settings(), Policy())
    name = next(iter(said.model_fields_set))
    by_policy, by_request = decide(Settings(), said), decide(Settings(), silent_policy(silent.rules), said)
    assert getattr(silent.rules, name) != SAID[key]
    assert silent.sources[name] in {"setting", "rollout"}
    assert (getattr(by_policy.rules, name), by_policy.sources[name]) == (SAID[key], "policy")
    assert (getattr(by_request.rules, name), by_request.sources[name]) == (SAID[key], "request")


def silent_policy(rules: Rules) -> Policy:
    """A policy that says aloud what the settings say."""
    return Policy(**rules.__dict__)


def test_a_setting_decides_where_nobody_else_says_anything() -> None:
    """Even one that says no."""
    settings = Settings(use_velero_backup=False, workflow=WorkflowSettings(keep_last=7))
    decided = decide(settings, Policy())
    assert (decided.rules.keep_last, decided.rules.use_velero_backup) == (7, False)
    assert decided.sources["use_velero_backup"] == "setting"


def test_the_stack_of_an_instance_is_as_its_policy_says(tmp_path: Path) -> None:
    """What the stack does with it is tested with the stack."""
    settings = Settings(home=tmp_path)
    session = InstanceSession(World(settings, SandboxClusters(tmp_path), cast("JobStore", None)), "demo")
    assert session.stack.mode == "on-demand"
    record = new_record(cluster_uid="u")
    session.directory.save_config(record.model_copy(update={"policy": Policy(stack="resident")}))
    assert (session.stack.mode, session.settings.stack.mode) == ("resident", "on-demand")
