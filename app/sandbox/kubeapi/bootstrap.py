"""What a new cluster contains before anybody has asked for anything."""

from collections.abc import Iterator

from app.sandbox.kubeapi.allocation import SERVICE_NETWORK
from app.sandbox.kubeapi.definitions import api_service
from app.sandbox.kubeapi.housekeeping import Housekeeping
from app.sandbox.kubeapi.kinds import built_in_kinds
from app.sandbox.kubeapi.objects import Object, timestamp
from app.sandbox.kubeapi.registry import Registry
from app.sandbox.kubeapi.store import Key, Store

_NAMESPACES = ("default", "kube-system", "kube-public", "kube-node-lease")
_RBAC_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}
_ADMIN_RULES = [
    {"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]},
    {"nonResourceURLs": ["*"], "verbs": ["*"]},
]
_ALL_VERBS = ["create", "delete", "get", "list", "patch", "update", "watch"]
_WORKLOAD_GROUPS = ["", "apps", "batch"]
_OPEN_PATHS = ["/api", "/api/*", "/apis", "/apis/*", "/healthz", "/livez", "/readyz", "/version"]
_ROLES = {
    "cluster-admin": _ADMIN_RULES,
    "admin": [{"apiGroups": ["*"], "resources": ["*"], "verbs": _ALL_VERBS}],
    "edit": [{"apiGroups": _WORKLOAD_GROUPS, "resources": ["*"], "verbs": _ALL_VERBS}],
    "view": [{"apiGroups": _WORKLOAD_GROUPS, "resources": ["*"], "verbs": ["get", "list", "watch"]}],
    "system:discovery": [{"nonResourceURLs": _OPEN_PATHS, "verbs": ["get"]}],
    "system:basic-user": [
        {"apiGroups": ["authorization.k8s.io"], "resources": ["selfsubjectaccessreviews"], "verbs": ["create"]}
    ],
    "system:node": [{"apiGroups": [""], "resources": ["nodes", "pods", "services"], "verbs": ["get", "list", "watch"]}],
}  # fmt: skip
_BINDINGS = {
    "cluster-admin": "system:masters",
    "system:discovery": "system:authenticated",
    "system:basic-user": "system:authenticated",
}


def bootstrap(store: Store, registry: Registry, housekeeping: Housekeeping, ca: str) -> None:
    """Places whatever is missing; what is there already stays as it is."""
    for resource, content in _objects(registry, ca):
        kind = registry.built_in(resource)
        metadata = content["metadata"]
        if store.get(Key(kind.storage, metadata.get("namespace", ""), metadata["name"])) is None:
            housekeeping.place(kind, content)


def _objects(registry: Registry, ca: str) -> Iterator[tuple[str, Object]]:
    for name in _NAMESPACES:
        metadata = {"name": name, "labels": {"kubernetes.io/metadata.name": name}}
        yield (
            "namespaces",
            {"metadata": metadata, "spec": {"finalizers": ["kubernetes"]}, "status": {"phase": "Active"}},
        )
    yield from _access()
    yield from _scheduling()
    yield from _network()
    yield from _configuration(ca)
    yield from _services(registry)


def _access() -> Iterator[tuple[str, Object]]:
    for name, rules in _ROLES.items():
        metadata = {"name": name, "labels": _RBAC_LABELS}
        yield "clusterroles.rbac.authorization.k8s.io", {"metadata": metadata, "rules": rules}
    for name, subject in _BINDINGS.items():
        api_group = "rbac.authorization.k8s.io"
        yield (
            "clusterrolebindings.rbac.authorization.k8s.io",
            {
                "metadata": {"name": name, "labels": _RBAC_LABELS},
                "roleRef": {"apiGroup": api_group, "kind": "ClusterRole", "name": name},
                "subjects": [{"apiGroup": api_group, "kind": "Group", "name": subject}],
            },
        )


def _scheduling() -> Iterator[tuple[str, Object]]:
    for name, value in (("system-cluster-critical", 2000000000), ("system-node-critical", 2000001000)):
        content = {"metadata": {"name": name}, "value": value, "preemptionPolicy": "PreemptLowerPriority"}
        yield "priorityclasses.scheduling.k8s.io", content
    level = {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}}
    metadata = {"name": "exempt", "annotations": {"apf.kubernetes.io/autoupdate-spec": "true"}}
    group = "flowcontrol.apiserver.k8s.io"
    yield f"prioritylevelconfigurations.{group}", {"metadata": metadata, "spec": level}
    schema = {
        "priorityLevelConfiguration": {"name": "exempt"},
        "matchingPrecedence": 1,
        "rules": [{"subjects": [{"kind": "Group", "group": {"name": "system:masters"}}]}],
    }
    yield f"flowschemas.{group}", {"metadata": metadata, "spec": schema}


def _network() -> Iterator[tuple[str, Object]]:
    labels = {"component": "apiserver", "provider": "kubernetes"}
    spec = {
        "type": "ClusterIP", "clusterIP": "10.43.0.1", "clusterIPs": ["10.43.0.1"], "sessionAffinity": "None",
        "ipFamilies": ["IPv4"], "ipFamilyPolicy": "SingleStack", "internalTrafficPolicy": "Cluster",
        "ports": [{"name": "https", "port": 443, "protocol": "TCP", "targetPort": 6443}],
    }  # fmt: skip
    metadata = {"name": "kubernetes", "namespace": "default", "labels": labels}
    yield "services", {"metadata": metadata, "spec": spec, "status": {"loadBalancer": {}}}
    port = {"name": "https", "port": 6443, "protocol": "TCP"}
    metadata = {"name": "kubernetes", "namespace": "default"}
    yield "endpoints", {"metadata": metadata, "subsets": [{"addresses": [{"ip": "127.0.0.1"}], "ports": [port]}]}
    yield (
        "endpointslices.discovery.k8s.io",
        {
            "metadata": {**metadata, "labels": {"kubernetes.io/service-name": "kubernetes"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            "ports": [port],
        },
    )
    condition = {"type": "Ready", "status": "True", "lastTransitionTime": timestamp(), "reason": "", "message": ""}
    yield (
        "servicecidrs.networking.k8s.io",
        {
            "metadata": {"name": "kubernetes"},
            "spec": {"cidrs": [SERVICE_NETWORK]},
            "status": {"conditions": [condition]},
        },
    )


def _configuration(ca: str) -> Iterator[tuple[str, Object]]:
    zone = ".:53 {\n    errors\n    health\n    ready\n    kubernetes cluster.local\n    cache 30\n}\n"
    contents = {"coredns": {"Corefile": zone}, "extension-apiserver-authentication": {"client-ca-file": ca}}
    for name, data in contents.items():
        yield "configmaps", {"metadata": {"name": name, "namespace": "kube-system"}, "data": data}


def _services(registry: Registry) -> Iterator[tuple[str, Object]]:
    served = {(kind.group, kind.version) for kind in built_in_kinds()}
    for group, version in sorted(served):
        yield (
            registry.built_in("apiservices.apiregistration.k8s.io").storage,
            api_service(group, version, automanaged="onstart"),
        )
