"""What a restore does to each object before it is created."""

from typing import Any

import pytest

from app.sandbox.objects import label_value, merge_patch_between
from app.sandbox.velero.restore_plan import restore_order
from app.sandbox.velero.transforming import RestoreRules, merged_service_account, not_restored, restored_form


def rules(**fields: Any) -> RestoreRules:
    return RestoreRules(backup_name="nightly", restore_name="again", **fields)


def test_identity_owners_and_status_are_dropped() -> None:
    """Only name, namespace, labels, annotations and finalizers of the metadata survive."""
    saved = {
        "metadata": {
            "name": "cart", "namespace": "shop", "uid": "1", "resourceVersion": "7", "ownerReferences": [{}],
            "finalizers": ["keep"], "labels": {"app": "cart"},
        },
        "status": {"phase": "Running"},
        "data": {"a": "1"},
    }  # fmt: skip
    assert restored_form("configmaps", saved, rules()) == {
        "metadata": {
            "name": "cart",
            "namespace": "shop",
            "finalizers": ["keep"],
            "labels": {"app": "cart", "velero.io/backup-name": "nightly", "velero.io/restore-name": "again"},
        },
        "data": {"a": "1"},
    }


@pytest.mark.parametrize(
    ("kind", "saved"),
    [
        ("pods", {"metadata": {"name": "x"}, "status": {"phase": "Succeeded"}}),
        ("pods", {"metadata": {"name": "x"}, "status": {"phase": "Failed"}}),
        ("pods", {"metadata": {"name": "x", "annotations": {"kubernetes.io/config.mirror": "1"}}}),
        ("jobs.batch", {"metadata": {"name": "x"}, "status": {"completionTime": "2026-01-01T00:00:00Z"}}),
        ("secrets", {"metadata": {"name": "x"}, "type": "kubernetes.io/service-account-token"}),
        (
            "apiservices.apiregistration.k8s.io",
            {"metadata": {"name": "x", "labels": {"kube-aggregator.kubernetes.io/automanaged": "onstart"}}},
        ),
    ],
)
def test_what_is_never_restored(kind: str, saved: dict[str, Any]) -> None:
    """Finished work, mirror pods, token secrets and what the API server keeps itself."""
    assert not_restored(kind, saved)


def test_a_service_gets_a_new_address_and_new_node_ports() -> None:
    """clusterIP and nodePort belong to the old cluster."""
    saved = {
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"clusterIP": "10.0.0.7", "clusterIPs": ["10.0.0.7"], "ports": [{"port": 80, "nodePort": 30080}]},
    }
    restored = restored_form("services", saved, rules())
    assert restored is not None
    assert restored["spec"] == {"ports": [{"port": 80}]}


def test_a_headless_service_stays_headless() -> None:
    """None is no address but a choice; asked-for node ports stay as well."""
    saved = {
        "metadata": {
            "name": "web",
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": '{"spec":{"ports":[{"nodePort":30080}]}}',
            },
        },
        "spec": {"clusterIP": "None", "ports": [{"port": 80, "nodePort": 30080}]},
    }
    restored = restored_form("services", saved, rules())
    assert restored is not None
    assert restored["spec"] == saved["spec"]


def test_a_job_gets_a_new_selector() -> None:
    """The controller's uid is no longer that of the new Job."""
    labels = {"batch.kubernetes.io/controller-uid": "1", "controller-uid": "1"}
    saved = {
        "metadata": {"name": "migrate", "labels": dict(labels)},
        "spec": {"selector": {"matchLabels": dict(labels)}, "template": {"metadata": {"labels": dict(labels)}}},
    }
    restored = restored_form("jobs.batch", saved, rules())
    assert restored is not None
    assert restored["spec"] == {"template": {"metadata": {"labels": {}}}}


def test_a_pod_is_scheduled_anew() -> None:
    """Its node and its legacy token volume are not part of it."""
    saved = {
        "metadata": {"name": "task", "namespace": "shop"},
        "spec": {
            "nodeName": "old",
            "priority": 0,
            "serviceAccountName": "runner",
            "volumes": [{"name": "runner-token-abcde"}, {"name": "data"}],
            "containers": [{"name": "c", "volumeMounts": [{"name": "runner-token-abcde"}, {"name": "data"}]}],
        },
    }
    restored = restored_form("pods", saved, rules())
    assert restored is not None
    assert restored["spec"] == {
        "serviceAccountName": "runner",
        "volumes": [{"name": "data"}],
        "containers": [{"name": "c", "volumeMounts": [{"name": "data"}]}],
    }


def test_a_volume_that_goes_with_its_claim_is_provisioned_anew() -> None:
    """Reclaim policy Delete: the volume is left out and the claim forgets it."""
    context = rules()
    volume = {"metadata": {"name": "pv-1"}, "spec": {"persistentVolumeReclaimPolicy": "Delete"}}
    claim = {
        "metadata": {"name": "data", "annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
        "spec": {"volumeName": "pv-1"},
    }
    assert restored_form("persistentvolumes", volume, context) is None
    restored = restored_form("persistentvolumeclaims", claim, context)
    assert restored is not None
    assert restored["spec"] == {}
    assert restored["metadata"]["annotations"] == {}


def test_a_mapped_namespace_is_followed_by_role_bindings() -> None:
    """The object and the subjects of a binding move together."""
    saved = {
        "metadata": {"name": "read", "namespace": "shop"},
        "subjects": [{"kind": "ServiceAccount", "name": "cart", "namespace": "shop"}],
    }
    context = rules(namespace_mapping={"shop": "shop-2"})
    restored = restored_form("rolebindings.rbac.authorization.k8s.io", saved, context)
    assert restored is not None
    assert restored["metadata"]["namespace"] == restored["subjects"][0]["namespace"] == "shop-2"


def test_service_accounts_are_merged() -> None:
    """The live account keeps what it has and gains what the backup had."""
    live = {"metadata": {"name": "cart"}, "secrets": [{"name": "live"}]}
    wanted = {"metadata": {"name": "cart", "labels": {"a": "1"}}, "secrets": [{"name": "saved"}]}
    merged = merged_service_account(live, wanted)
    assert merged["secrets"] == [{"name": "live"}, {"name": "saved"}]
    assert merged["metadata"]["labels"] == {"a": "1"}


def test_the_merge_patch_removes_what_the_backup_does_not_have() -> None:
    """RFC 7396: null deletes, lists are replaced, equal members are left out."""
    before = {"a": 1, "b": {"c": 1, "d": 2}, "e": [1]}
    after = {"b": {"c": 1, "d": 3}, "e": [2], "f": True}
    assert merge_patch_between(before, after) == {"a": None, "b": {"d": 3}, "e": [2], "f": True}


def test_long_names_are_cut_as_velero_cuts_them() -> None:
    """57 characters and six digits of the hash; 63 are still whole."""
    assert label_value("x" * 63) == "x" * 63
    assert label_value("x" * 64) == "x" * 57 + "7ce100"


def test_kinds_are_restored_in_veleros_order() -> None:
    """Definitions and namespaces first, the unnamed kinds by the alphabet after the named ones."""
    kinds = ["services", "widgets.example.com", "namespaces", "deployments.apps", "configmaps", "secrets"]
    assert sorted(kinds, key=restore_order) == [
        "namespaces", "secrets", "configmaps", "services", "deployments.apps", "widgets.example.com",
    ]  # fmt: skip
