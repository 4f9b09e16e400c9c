"""What KECS deploys into a cluster it has made, by plain creates that fail on what is there already."""

import asyncio
from pathlib import Path

from app.sandbox.apiclient import KubernetesApi
from app.sandbox.kecs_store import STORE, write_store
from app.sandbox.objects import Object

NAMESPACE = "kecs-system"
KECS_IMAGE = "ghcr.io/nandemo-ya/kecs:sandbox"
READY_SECONDS = 20.0
MANAGED = {"app.kubernetes.io/managed-by": "kecs"}


async def deploy_components(directory: Path, data: Path) -> None:
    """kecs-system as ``kecs start`` makes it, until kecs-server is ready; with an empty store if there is none."""
    store = data / STORE
    if not store.exists():
        await asyncio.to_thread(write_store, store, {})
    async with KubernetesApi.from_kubeconfig(directory / "kubeconfig") as api:
        for manifest in component_manifests(data):
            await create(api, manifest)
        async with asyncio.timeout(READY_SECONDS):
            while not await _server_ready(api):
                await asyncio.sleep(0.05)


async def _server_ready(api: KubernetesApi) -> bool:
    found = await api.request("GET", f"/apis/apps/v1/namespaces/{NAMESPACE}/deployments/kecs-server")
    return bool((found.get("status") or {}).get("readyReplicas"))


async def create(api: KubernetesApi, manifest: Object) -> Object:
    """Create any object by its own kind."""
    return await api.request("POST", collection_path(manifest), body=manifest)


def collection_path(manifest: Object) -> str:
    """Where objects of this kind are created; the kinds of the sandbox all have regular plurals."""
    version, kind = manifest["apiVersion"], manifest["kind"].lower()
    plural = kind[:-1] + "ies" if kind.endswith("y") else kind + ("es" if kind.endswith("s") else "s")
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    namespace = manifest["metadata"].get("namespace")
    return f"{root}/namespaces/{namespace}/{plural}" if namespace else f"{root}/{plural}"


def component_manifests(data: Path) -> list[Object]:
    """The objects, namespace first."""
    return [
        _object("v1", "Namespace", NAMESPACE),
        _object("v1", "ServiceAccount", "kecs-server", NAMESPACE),
        _object("v1", "ConfigMap", "kecs-config", NAMESPACE, data={"KECS_DATA_DIR": "/data"}),
        _object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            "kecs-server",
            rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}],
        ),
        _object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRoleBinding",
            "kecs-server",
            roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "kecs-server"},
            subjects=[{"kind": "ServiceAccount", "name": "kecs-server", "namespace": NAMESPACE}],
        ),
        _service("kecs-api", "kecs-server", 80),
        _service("kecs-admin", "kecs-server", 5374),
        _service("kecs-webhook", "kecs-server", 443),
        _deployment("kecs-server", KECS_IMAGE, volumes=[{"name": "data", "hostPath": {"path": str(data)}}]),
        _deployment("localstack", "localstack/localstack:4"),
        _object(
            "v1",
            "PersistentVolumeClaim",
            "localstack-data",
            NAMESPACE,
            spec={"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "10Gi"}}},
        ),
        _deployment("traefik", "traefik:v3.2"),
        _workload("DaemonSet", "vector", "timberio/vector:0.40.0", {}),
        _webhook_configuration(),
    ]


def _object(version: str, kind: str, name: str, namespace: str = "", **fields: object) -> Object:
    metadata: Object = {"name": name, "labels": MANAGED} | ({"namespace": namespace} if namespace else {})
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def _service(name: str, app: str, port: int) -> Object:
    return _object("v1", "Service", name, NAMESPACE, spec={"selector": {"app": app}, "ports": [{"port": port}]})


def _deployment(name: str, image: str, volumes: list[Object] | None = None) -> Object:
    spec: Object = {"replicas": 1}
    manifest = _workload("Deployment", name, image, spec)
    if volumes:
        pod = manifest["spec"]["template"]["spec"]
        pod["volumes"] = volumes
        pod["containers"][0]["volumeMounts"] = [{"name": volume["name"], "mountPath": "/data"} for volume in volumes]
        pod["containers"][0]["ports"] = [{"containerPort": 5374}]
        pod["containers"][0]["readinessProbe"] = {"tcpSocket": {"port": 5374}}
    return manifest


def _workload(kind: str, name: str, image: str, spec: Object) -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": name, "image": image}]}}
    return _object(
        "apps/v1",
        kind,
        name,
        NAMESPACE,
        spec={**spec, "selector": {"matchLabels": {"app": name}}, "template": template},
    )


def _webhook_configuration() -> Object:
    return _object(
        "admissionregistration.k8s.io/v1",
        "MutatingWebhookConfiguration",
        "kecs-webhook-config",
        webhooks=[
            {
                "name": "pods.kecs.dev",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 1,
                "clientConfig": {"service": {"name": "kecs-webhook", "namespace": NAMESPACE, "path": "/mutate"}},
                "namespaceSelector": {"matchLabels": {"kecs.dev/managed": "true"}},
                "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
            }
        ],
    )
