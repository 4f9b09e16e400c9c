"""Specifications of Restores as data."""

from typing import Any, NamedTuple

import pytest

from app.velero.scope import full_restore_specs, repair_spec, selective_restore_spec


class Named(NamedTuple):
    """An object by name."""

    resource: str
    namespace: str
    name: str


POD = Named("pods", "web", "web-6d4b-x1")
MUTATING = "mutatingwebhookconfigurations.admissionregistration.k8s.io"
VALIDATING = "validatingwebhookconfigurations.admissionregistration.k8s.io"


def rules(policy: dict[str, Any] | None, namespace: str) -> list[dict[str, Any]]:
    """The rules of one namespace."""
    assert policy is not None
    entries = policy["namespacedFilterPolicies"]
    found: list[dict[str, Any]] = next(
        entry["resourceFilters"] for entry in entries if entry["namespaces"] == [namespace]
    )
    return found


def test_a_full_restore_takes_everything_but_webhook_configurations() -> None:
    """They come last, when their backends answer; nothing that exists is touched."""
    plan = full_restore_specs("b").everything
    assert plan.policy is None
    assert plan.spec == {
        "backupName": "b",
        "existingResourcePolicy": "none",
        "includedNamespaces": ["*"],
        "excludedNamespaces": ["kube-node-lease", "kube-public", "velero"],
        "excludedResources": [MUTATING, VALIDATING],
        "includeClusterResources": True,
    }


def test_controlled_objects_are_left_to_their_controllers_by_name() -> None:
    """A rule per kind leaves the names out, a catch-all keeps the rest of the namespace."""
    plan = full_restore_specs("b", left_to_controllers=[POD, Named("jobs.batch", "web", "nightly-1")]).everything
    assert rules(plan.policy, "web") == [
        {"kinds": ["jobs.batch"], "excludedNames": ["nightly-1"]},
        {"kinds": ["pods"], "excludedNames": ["web-6d4b-x1"]},
        {"kinds": ["*"]},
    ]


def test_replica_sets_come_back_although_a_deployment_controls_them() -> None:
    """They hold a Deployment's history and are adopted by label."""
    plan = full_restore_specs("b", left_to_controllers=[Named("replicasets.apps", "web", "web-6d4b")]).everything
    assert plan.policy is None


def test_poorer_deployments_are_updated_by_name_and_nothing_else() -> None:
    """The second Restore overwrites, so it names what it may overwrite."""
    plan = full_restore_specs("b", poorer_deployments=[Named("deployments.apps", "web", "api"), POD]).poorer_deployments
    assert plan is not None
    assert plan.spec["existingResourcePolicy"] == "update"
    assert plan.spec["includedResources"] == ["deployments.apps"]
    assert plan.spec["includedNamespaces"] == ["web"]
    assert rules(plan.policy, "web") == [{"kinds": ["deployments.apps"], "names": ["api"]}]


def test_without_poorer_deployments_there_is_no_second_restore() -> None:
    """An empty list of names would mean everything."""
    assert full_restore_specs("b").poorer_deployments is None


def test_the_third_restore_leaves_kecs_own_webhook_out() -> None:
    """KECS makes it anew with a new CA."""
    plan = full_restore_specs("b").webhooks
    assert plan is not None
    assert plan.policy == {
        "version": "v1",
        "clusterScopedFilterPolicy": {
            "resourceFilters": [{"kinds": [MUTATING, VALIDATING], "excludedNames": ["kecs-webhook-config"]}]
        },
    }


def test_only_webhooks_whose_backend_answers_are_restored_when_they_are_named() -> None:
    """KECS's own is dropped from the names too; nothing left means no Restore."""
    names = [Named(VALIDATING, "", "policy"), Named(MUTATING, "", "kecs-webhook-config")]
    plan = full_restore_specs("b", webhooks=names).webhooks
    assert plan is not None
    assert plan.spec["includedResources"] == [VALIDATING]
    assert full_restore_specs("b", webhooks=names[1:]).webhooks is None


def test_a_repair_names_exactly_the_missing_objects() -> None:
    """In each namespace only the names, without a catch-all; cluster-scoped ones by their own rules."""
    missing = [POD, Named("configmaps", "db", "settings"), Named("clusterroles.rbac.authorization.k8s.io", "", "mine")]
    policy, spec = repair_spec("b", missing)
    assert spec["includedNamespaces"] == ["db", "web"]
    assert spec["includedResources"] == ["clusterroles.rbac.authorization.k8s.io", "configmaps", "pods"]
    assert spec["includeClusterResources"] is True
    assert rules(policy, "db") == [{"kinds": ["configmaps"], "names": ["settings"]}]
    assert policy is not None
    assert policy["clusterScopedFilterPolicy"]["resourceFilters"][0]["names"] == ["mine"]


def test_a_repair_of_nothing_is_refused() -> None:
    """Its specification would restore everything."""
    with pytest.raises(ValueError, match="at least one"):
        repair_spec("b", [])


def test_a_selective_restore_repeats_its_selector_in_the_rules() -> None:
    """A namespace with rules ignores the global selector."""
    plan = selective_restore_spec("b", namespaces=["web"], selector="app=web", left_to_controllers=[POD])
    selector = {"matchExpressions": [{"key": "app", "operator": "In", "values": ["web"]}]}
    assert plan.spec["labelSelector"] == selector
    assert plan.spec["includeClusterResources"] is False
    assert all(rule["labelSelector"] == selector for rule in rules(plan.policy, "web"))


def test_a_selective_restore_of_kinds_overwrites_only_when_asked() -> None:
    """``update`` is the caller's word; named kinds replace the exclusion of webhook configurations."""
    plan = selective_restore_spec("b", resources=["Secrets"], existing_resource_policy="update")
    assert plan.policy is None
    assert plan.spec["includedResources"] == ["secrets"]
    assert plan.spec["existingResourcePolicy"] == "update"
    assert "excludedResources" not in plan.spec
