"""Scope as data, and held against Velero's own reading of the same specification."""

from itertools import product
from typing import Any

import pytest

from app.kubernetes.resources import Resource
from app.velero.errors import InvalidScope
from app.velero.filters import exact_names
from app.velero.scope import FULL, Scope, backup_policy, backup_spec, collected, in_scope
from tests.velero import velero_reading

RBAC = "rbac.authorization.k8s.io"
ALL_VERBS = frozenset({"list", "create", "get", "delete", "watch", "patch"})


def kind(group_resource: str, *, namespaced: bool = True, verbs: frozenset[str] = ALL_VERBS) -> Resource:
    """A type by its ``plural.group``."""
    plural, _, group = group_resource.partition(".")
    return Resource(group, "v1", plural, plural.rstrip("s").title(), namespaced, verbs)


NAMESPACED = [
    "pods", "secrets", "configmaps", "services", "serviceaccounts", "endpoints", "events", "events.events.k8s.io",
    "deployments.apps", f"rolebindings.{RBAC}", "endpointslices.discovery.k8s.io", "leases.coordination.k8s.io",
    "ingressroutes.traefik.io", "persistentvolumeclaims",
]  # fmt: skip
CLUSTER_SCOPED = [
    "nodes", "persistentvolumes", f"clusterroles.{RBAC}", f"clusterrolebindings.{RBAC}",
    "customresourcedefinitions.apiextensions.k8s.io", "apiservices.apiregistration.k8s.io",
    "priorityclasses.scheduling.k8s.io", "flowschemas.flowcontrol.apiserver.k8s.io",
    "mutatingwebhookconfigurations.admissionregistration.k8s.io", "ipaddresses.networking.k8s.io",
]  # fmt: skip
PLACES = ["kube-system", "kube-public", "kube-node-lease", "velero", "kecs-system", "default", "web-eu-west-1"]
OBJECTS = ["app", "kube-root-ca.crt", "coredns-custom", "system-node-critical", "backups.velero.io", "widgets.acme.io"]
LABELS: list[dict[str, str]] = [
    {},
    {"app": "web"},
    {"app": "web", "kecs.io/managed-by": "kecs"},
    {"kecs.io/managed-by": "kecs", "velero.io/exclude-from-backup": "true"},
    {"kecs.io/elbv2-load-balancer": "front", "app": "web"},
    {"kecs.io/component": "elbv2-proxy", "app": "traefik-elbv2-front"},
    {"kecs.io/component": "elbv2-proxy", "app": "traefik"},
    {"kubernetes.io/bootstrapping": "rbac-defaults"},
    {"kube-aggregator.kubernetes.io/automanaged": "true"},
    {"component": "velero"},
]
SCOPES = [
    FULL,
    Scope(excluded_namespaces=["default"]),
    Scope(namespaces=["default", "kecs-system", "velero"], partial=True),
    Scope(namespaces=["web-*"], partial=True),
    Scope(resources=["secrets", "events", "deployments"], partial=True),
    Scope(resources=[f"clusterroles.{RBAC}"], namespaces=["default"], partial=True),
    Scope(selector="app=web", partial=True),
    Scope(selector="app!=web", namespaces=["kecs-system", "default"], partial=True),
]


@pytest.mark.parametrize("scope", SCOPES, ids=lambda scope: scope.model_dump_json(exclude_defaults=True))
def test_the_inventory_holds_exactly_what_the_specification_takes(scope: Scope) -> None:
    """``in_scope`` and Velero's reading of the specification agree on every combination."""
    spec, policy = backup_spec(scope, policy_name="policy"), backup_policy(scope)
    cases = [(kind(resource), place) for resource, place in product(NAMESPACED, PLACES)]
    cases += [(kind(resource, namespaced=False), "") for resource in CLUSTER_SCOPED]
    for (resource, place), name, labels in product(cases, OBJECTS, LABELS):
        metadata = {"name": name, "labels": labels} | ({"namespace": place} if place else {})
        expected = velero_reading.takes(spec, policy, resource, metadata)
        assert in_scope(resource, metadata, scope) == expected, (resource, metadata)


def taken(resource: str, name: str, namespace: str = "", **labels: str) -> bool:
    """Whether the full scope takes an object; ``_`` in label keys stands for ``/``."""
    metadata = {"name": name, "labels": {key.replace("_", "/"): value for key, value in labels.items()}}
    return in_scope(kind(resource, namespaced=bool(namespace)), metadata | {"namespace": namespace})


def test_of_kube_system_only_the_users_dns_entries_are_taken() -> None:
    """``coredns-custom`` is user state, the rest of kube-system is the cluster's."""
    assert taken("configmaps", "coredns-custom", "kube-system")
    assert not taken("secrets", "coredns-custom", "kube-system")
    assert not taken("configmaps", "coredns", "kube-system")


def test_of_kecs_system_only_what_users_made_is_taken() -> None:
    """Components of KECS carry none of the labels and are left out."""
    assert taken("secrets", "sm-db", "kecs-system", **{"kecs.io_managed-by": "kecs"})
    assert taken("services", "tg-web", "kecs-system", **{"kecs.io_component": "elbv2-target"})
    assert not taken("deployments.apps", "kecs-server", "kecs-system")
    assert not taken(
        "deployments.apps", "traefik", "kecs-system", app="traefik", **{"kecs.io_component": "elbv2-proxy"}
    )


def test_what_the_api_server_makes_is_left_out_of_the_cluster_scoped_kinds() -> None:
    """A user's ClusterRole is taken, a bootstrapping one, Velero's and its definitions are not."""
    assert taken(f"clusterroles.{RBAC}", "mine")
    assert not taken(f"clusterroles.{RBAC}", "view", **{"kubernetes.io_bootstrapping": "rbac-defaults"})
    assert not taken(f"clusterrolebindings.{RBAC}", "velero", component="velero")
    assert not taken("customresourcedefinitions.apiextensions.k8s.io", "backups.velero.io")
    assert taken("customresourcedefinitions.apiextensions.k8s.io", "widgets.acme.io")


def test_namespaces_of_the_instance_are_taken_themselves() -> None:
    """Every namespace but the three that are never saved."""
    assert [place for place in PLACES if taken("namespaces", place)] == [
        "kube-system", "kecs-system", "default", "web-eu-west-1"
    ]  # fmt: skip


def test_an_object_being_deleted_is_not_taken() -> None:
    """Velero skips it, so the inventory must not ask for it."""
    assert not in_scope(kind("pods"), {"name": "a", "namespace": "b", "deletionTimestamp": "2026-01-01T00:00:00Z"})


def test_the_policy_obeys_veleros_validation() -> None:
    """Each kind once, names never on a catch-all, no catch-all for cluster-scoped kinds."""
    policy = backup_policy(Scope(selector="app=web", partial=True))
    cluster = policy["clusterScopedFilterPolicy"]["resourceFilters"]
    assert all(rule["kinds"] != ["*"] for rule in cluster)
    for rules in [cluster, *(entry["resourceFilters"] for entry in policy["namespacedFilterPolicies"])]:
        kinds = [name for rule in rules for name in rule["kinds"]]
        assert len(kinds) == len(set(kinds))
        assert not any({"names", "excludedNames"} & rule.keys() for rule in rules if rule["kinds"] == ["*"])


def test_a_selector_stands_in_every_rule() -> None:
    """A rule's selector replaces the global one in Velero, so each rule repeats it."""
    policy = backup_policy(Scope(selector="app=web", partial=True))
    rules = policy["clusterScopedFilterPolicy"]["resourceFilters"] + [
        rule for entry in policy["namespacedFilterPolicies"] for rule in entry["resourceFilters"]
    ]
    wanted = {"key": "app", "operator": "In", "values": ["web"]}
    for rule in rules:
        selectors = rule.get("orLabelSelectors") or [rule["labelSelector"]]
        assert all(wanted in selector["matchExpressions"] for selector in selectors)


def test_the_specification_never_mixes_the_filter_families() -> None:
    """The older family beside a policy is a validation error."""
    for scope in SCOPES:
        spec = backup_spec(scope, policy_name="policy")
        assert not {"includedResources", "excludedResources", "includeClusterResources"} & spec.keys()
        assert not set(spec["includedNamespaces"]) & set(spec["excludedNamespaces"])


def test_a_full_backup_lives_for_a_century_and_saves_no_volumes() -> None:
    """An expired backup would be deleted as soon as Velero starts."""
    spec = backup_spec(FULL, policy_name="policy")
    assert spec["ttl"] == "876000h0m0s"
    assert spec["snapshotVolumes"] is False
    assert spec["defaultVolumesToFsBackup"] is False
    assert spec["includedClusterScopedResources"] == ["*"]


@pytest.mark.parametrize("wish", [{"namespaces": ["velero"]}, {"resources": ["events"]}, {"selector": "a b c"}])
def test_a_scope_that_would_become_everything_is_refused(wish: dict[str, Any]) -> None:
    """Nothing left of what was asked for must not turn into "all"."""
    with pytest.raises(InvalidScope):
        Scope(**wish, partial=True)


def test_kinds_of_two_groups_are_listed_once() -> None:
    """Of cohabiting groups the first one served counts, and a type without the four verbs not at all."""
    offered = [kind("ingresses.extensions"), kind("ingresses.networking.k8s.io"), kind("daemonsets.extensions")]
    offered.append(kind("pods.metrics.k8s.io", verbs=frozenset({"list", "get"})))
    assert [resource.group_resource for resource in collected(offered)] == [
        "ingresses.networking.k8s.io",
        "daemonsets.extensions",
    ]


def test_names_with_glob_signs_are_taken_literally() -> None:
    """A role called ``a*`` must not match another one."""
    assert exact_names(["a*b", "plain"]) == ("a[*]b", "plain")
