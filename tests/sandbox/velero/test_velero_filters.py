"""Include and exclude lists, label selectors, and the filter policies of 1.18.3."""

import pytest
import yaml

from app.sandbox.apiclient import ResourceType
from app.sandbox.velero.filters import NameFilter, Selection, selects
from app.sandbox.velero.policies import FilterPolicy, PolicyError, parse_policy

PODS = ResourceType("", "v1", "pods", "Pod", namespaced=True)
CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap", namespaced=True)
CLUSTER_ROLES = ResourceType("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", namespaced=False)


def policy(**content: object) -> FilterPolicy:
    text = yaml.safe_dump({"version": "v1", **content})
    return parse_policy({"metadata": {"name": "policy"}, "data": {"policy": text}})


def test_no_includes_take_everything_but_the_excludes() -> None:
    """An empty include list means all names; excludes win, also as globs."""
    names = NameFilter.of(None, ["kube-*"])
    assert names.takes("shop")
    assert not names.takes("kube-system")


@pytest.mark.parametrize(
    ("includes", "excludes", "text"),
    [
        (["*", "a"], [], "must either contain '*' only"),
        ([], ["*"], "excludes list cannot contain '*'"),
        (["a"], ["a"], "cannot contain an item in the includes list"),
        (["a**"], [], "invalid pattern"),
    ],
)
def test_lists_that_velero_refuses(includes: list[str], excludes: list[str], text: str) -> None:
    """Each malformed list is told by what is wrong with it."""
    assert text in NameFilter.of(includes, excludes).errors()[0]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"key": "tier", "operator": "In", "values": ["web"]}, True),
        ({"key": "tier", "operator": "NotIn", "values": ["web"]}, False),
        ({"key": "tier", "operator": "Exists"}, True),
        ({"key": "tier", "operator": "DoesNotExist"}, False),
        ({"key": "other", "operator": "NotIn", "values": ["web"]}, True),
    ],
)
def test_selector_expressions(expression: dict[str, object], *, expected: bool) -> None:
    """The four operators of a label selector."""
    assert selects({"matchExpressions": [expression]}, {"tier": "web"}) is expected


def test_one_of_several_selectors_is_enough() -> None:
    """orLabelSelectors take an object that any of them takes."""
    selection = Selection.of({"orLabelSelectors": [{"matchLabels": {"a": "1"}}, {"matchLabels": {"b": "2"}}]})
    assert selection.takes({"b": "2"})
    assert not selection.takes({"c": "3"})


def test_a_policy_is_an_allow_list_for_its_namespaces_only() -> None:
    """In a matched namespace only what a rule names is taken, elsewhere everything."""
    rules = policy(
        namespacedFilterPolicies=[
            {"namespaces": ["kube-system"], "resourceFilters": [{"kinds": ["ConfigMap"], "names": ["coredns-*"]}]}
        ]
    )
    assert rules.takes(CONFIG_MAPS, "kube-system", "coredns-custom", {})
    assert not rules.takes(CONFIG_MAPS, "kube-system", "other", {})
    assert not rules.takes(PODS, "kube-system", "coredns-custom", {})
    assert rules.takes(PODS, "shop", "cart", {})


def test_a_catch_all_takes_only_the_kinds_no_other_rule_names() -> None:
    """Pods with a controller are left out although a catch-all follows."""
    naked = {"matchExpressions": [{"key": "pod-template-hash", "operator": "DoesNotExist"}]}
    rules = policy(
        namespacedFilterPolicies=[
            {"namespaces": ["*"], "resourceFilters": [{"kinds": ["Pod"], "labelSelector": naked}, {"kinds": ["*"]}]}
        ]
    )
    assert not rules.takes(PODS, "shop", "cart-1", {"pod-template-hash": "abc"})
    assert rules.takes(PODS, "shop", "task", {})
    assert rules.takes(CONFIG_MAPS, "shop", "cart", {"pod-template-hash": "abc"})


def test_an_exact_namespace_beats_a_glob() -> None:
    """The order in the list does not matter between an exact name and a glob."""
    rules = policy(
        namespacedFilterPolicies=[
            {"namespaces": ["shop*"], "resourceFilters": [{"kinds": ["*"]}]},
            {"namespaces": ["shop"], "resourceFilters": [{"names": ["kept"]}]},
        ]
    )
    assert not rules.takes(CONFIG_MAPS, "shop", "cart", {})
    assert rules.takes(CONFIG_MAPS, "shop-2", "cart", {})


def test_excluded_names_win_for_cluster_scoped_kinds() -> None:
    """A cluster-scoped rule refines its kind; the others follow the global filters."""
    rules = policy(
        clusterScopedFilterPolicy={"resourceFilters": [{"kinds": ["clusterroles"], "excludedNames": ["system:*"]}]}
    )
    assert rules.takes(CLUSTER_ROLES, "", "reader", {})
    assert not rules.takes(CLUSTER_ROLES, "", "system:node", {})


@pytest.mark.parametrize(
    "text",
    ["version: v2", "version: v1\nsurprise: 1", "[", "version: v1\nnamespacedFilterPolicies: [{resourceFilters: []}]"],
)
def test_what_is_no_policy_is_refused(text: str) -> None:
    """Wrong version, unknown fields and broken YAML fail the validation instead of taking everything."""
    with pytest.raises(PolicyError):
        parse_policy({"metadata": {"name": "policy"}, "data": {"policy": text}})
