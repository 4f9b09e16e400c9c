"""CoreDNS in the cluster, as every Kubernetes has it."""

from typing import Any

from tests.real import requests
from tests.real.images import COREDNS
from tests.real.slot import DNS_ADDRESS, Slot

_COREFILE = """.:53 {
    errors
    ready
    kubernetes cluster.local in-addr.arpa ip6.arpa
    cache 5
}
"""
_LABELS = {"k8s-app": "kube-dns"}
_NAMESPACE = "/api/v1/namespaces/kube-system"


def install_dns(slot: Slot) -> None:
    """Everything of it, applied; nobody waits for it."""
    for path, manifest in _manifests():
        requests.apply(slot, path, manifest)


def _manifests() -> list[tuple[str, dict[str, Any]]]:
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "system:coredns"}
    account = {"kind": "ServiceAccount", "name": "coredns", "namespace": "kube-system"}
    rules = [
        {"apiGroups": [""], "resources": ["endpoints", "services", "pods", "namespaces"], "verbs": ["list", "watch"]},
        {"apiGroups": ["discovery.k8s.io"], "resources": ["endpointslices"], "verbs": ["list", "watch"]},
    ]
    rbac = "/apis/rbac.authorization.k8s.io/v1"
    ports = [{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53, "protocol": "TCP"}]
    return [
        (f"{_NAMESPACE}/serviceaccounts/coredns", _object("v1", "ServiceAccount", "coredns")),
        (f"{_NAMESPACE}/configmaps/coredns", _object("v1", "ConfigMap", "coredns", data={"Corefile": _COREFILE})),
        (
            f"{rbac}/clusterroles/system:coredns",
            _object("rbac.authorization.k8s.io/v1", "ClusterRole", "system:coredns", rules=rules),
        ),
        (
            f"{rbac}/clusterrolebindings/system:coredns",
            _object(
                "rbac.authorization.k8s.io/v1", "ClusterRoleBinding", "system:coredns",
                roleRef=role, subjects=[account],
            ),
        ),
        (
            f"{_NAMESPACE}/services/kube-dns",
            _object(
                "v1", "Service", "kube-dns", spec={"clusterIP": DNS_ADDRESS, "selector": _LABELS, "ports": ports}
            ),
        ),
        ("/apis/apps/v1/namespaces/kube-system/deployments/coredns", _deployment()),
    ]  # fmt: skip


def _deployment() -> dict[str, Any]:
    container = {
        "name": "coredns",
        "image": COREDNS,
        "args": ["-conf", "/etc/coredns/Corefile"],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/coredns"}],
        "readinessProbe": {"httpGet": {"path": "/ready", "port": 8181}, "periodSeconds": 1},
    }
    pod = {
        "serviceAccountName": "coredns",
        "dnsPolicy": "Default",
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
        "volumes": [{"name": "config", "configMap": {"name": "coredns"}}],
    }
    template = {"metadata": {"labels": _LABELS}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": _LABELS}, "template": template}
    return _object("apps/v1", "Deployment", "coredns", spec=spec)


def _object(version: str, kind: str, name: str, **content: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}} | content
