"""An instance as its user would have it after some weeks of work: about a hundred objects of every kind KECS makes."""

import asyncio
import base64
import uuid
from pathlib import Path

from app.sandbox.apiclient import KubernetesApi
from app.sandbox.components import NAMESPACE, create
from app.sandbox.kecs_store import STORE, Rows, cluster_row, definition_row, service_row, task_row, write_store
from app.sandbox.objects import Object
from app.sandbox.supervisor import cluster_directory, host_directory

REGION = "us-east-1"
CLUSTERS = {"shop": ("web", "cart", "search"), "billing": ("invoices", "payments"), "media": ("encoder", "thumbnails")}
ELBV2 = {"kecs.io/elbv2-load-balancer-name": "shop-lb"}
FINISHED = {"sandbox.kecs.dev/completes": "true"}


async def seed(state_dir: Path, name: str) -> int:
    """Create everything and write KECS's store; gives the number of objects created."""
    manifests = seed_manifests()
    async with KubernetesApi.from_kubeconfig(cluster_directory(state_dir, name) / "kubeconfig") as api:
        for manifest in manifests:
            await create(api, manifest)
    await asyncio.to_thread(write_store, host_directory(state_dir, name) / STORE, kecs_store(manifests))
    return len(manifests)


async def seed_custom_resources(state_dir: Path, name: str) -> int:
    """A CustomResourceDefinition and five objects of it: what a plain Velero backup loses if it is young enough."""
    manifests = custom_resource_manifests()
    async with KubernetesApi.from_kubeconfig(cluster_directory(state_dir, name) / "kubeconfig") as api:
        for manifest in manifests:
            await create(api, manifest)
    return len(manifests)


def custom_resource_manifests() -> list[Object]:
    """The definition first."""
    return [_definition(), *(_custom_object(number) for number in range(5))]


def seed_manifests() -> list[Object]:
    """Every object, namespaces first."""
    manifests: list[Object] = []
    for cluster, services in CLUSTERS.items():
        manifests += _cluster(cluster, services)
    manifests += _shared()
    return manifests


def kecs_store(manifests: list[Object]) -> Rows:
    """What KECS would have in its database about these objects."""
    rows: Rows = {"clusters": [cluster_row(cluster, REGION) for cluster in CLUSTERS]}
    definitions: dict[str, str] = {}
    for manifest in manifests:
        labels = manifest["metadata"].get("labels") or {}
        name, cluster = manifest["metadata"]["name"], labels.get("kecs.dev/cluster", "")
        if manifest["kind"] == "Deployment" and cluster:
            definitions[name] = manifest["spec"]["template"]["spec"]["containers"][0]["image"]
            count = manifest["spec"]["replicas"]
            rows.setdefault("services", []).append(service_row(name, cluster, REGION, family=name, count=count))
        elif manifest["kind"] == "Pod" and "kecs.dev/task-id" in labels:
            family = labels["kecs.dev/task-family"]
            definitions[family] = manifest["spec"]["containers"][0]["image"]
            rows.setdefault("tasks", []).append(task_row(name, cluster, REGION, family=family))
    return rows | {"task_definitions": [definition_row(each, REGION, image) for each, image in definitions.items()]}


def _cluster(cluster: str, services: tuple[str, ...]) -> list[Object]:
    namespace = f"{cluster}-{REGION}"
    labels = {"kecs.dev/cluster": cluster, "kecs.dev/region": REGION}
    manifests = [
        _object(
            "v1", "Namespace", namespace, labels={**labels, "kecs.dev/managed": "true", "kecs.dev/type": "ecs-cluster"}
        ),
        _object("v1", "ServiceAccount", "task-role", namespace),
        _object(
            "rbac.authorization.k8s.io/v1",
            "Role",
            "task-reader",
            namespace,
            rules=[{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}],
        ),
        _binding("task-reader", namespace, "Role", "task-reader", "task-role", namespace),
        _binding(f"kecs-secret-reader-{namespace}", NAMESPACE, "Role", "kecs-secret-reader", "default", namespace),
        _secret(f"sm-{cluster}-database", NAMESPACE, {"kecs.io/managed-by": "kecs"}),
        _secret(f"ssm-{cluster}-token", NAMESPACE, {"kecs.io/managed-by": "kecs"}),
        _secret(f"sm-{cluster}-database", namespace, {}),
    ]
    for service in services:
        manifests += _service(service, namespace, labels)
    manifests += [_task(namespace, {**labels, "kecs.dev/task-family": f"{cluster}-batch"}) for _ in range(2)]
    return manifests


def _service(name: str, namespace: str, labels: dict[str, str]) -> list[Object]:
    own = {
        **labels,
        "app": name,
        "kecs.dev/service": name,
        "kecs.dev/launch-type": "FARGATE",
        "kecs.dev/managed-by": "kecs",
    }
    container = {
        "name": name,
        "image": f"docker.io/library/{name}:1.4",
        "env": [{"name": "LOG_LEVEL", "value": "info"}],
        "envFrom": [{"configMapRef": {"name": f"{name}-settings"}}],
        "ports": [{"containerPort": 8080}],
    }
    deployment = _object(
        "apps/v1",
        "Deployment",
        name,
        namespace,
        labels=own,
        spec={
            "replicas": 2,
            "selector": {"matchLabels": {"app": name, "kecs.dev/service": name}},
            "template": {
                "metadata": {"labels": own},
                "spec": {"containers": [container], "volumes": [{"name": "scratch", "emptyDir": {}}]},
            },
        },
    )
    deployment["metadata"]["annotations"] = {
        "kecs.dev/service-arn": f"arn:aws:ecs:{REGION}:000000000000:service/{name}"
    }
    return [
        _object("v1", "ConfigMap", f"{name}-settings", namespace, data={"FEATURE": "on", "NAME": name}),
        _secret(f"{name}-credentials", namespace, {"app": name}),
        _object("v1", "ConfigMap", f"{name}-files", namespace, data={"banner.txt": f"welcome to {name}\n"}),
        _object(
            "v1", "Service", name, namespace, labels=own, spec={"selector": {"app": name}, "ports": [{"port": 8080}]}
        ),
        deployment,
    ]


def _task(namespace: str, labels: dict[str, str]) -> Object:
    task = uuid.uuid4().hex
    return _object(
        "v1",
        "Pod",
        task,
        namespace,
        labels={**labels, "kecs.dev/task-id": task},
        spec={"restartPolicy": "Never", "containers": [{"name": "batch", "image": "docker.io/library/batch:2"}]},
    )


def _shared() -> list[Object]:
    namespace = f"shop-{REGION}"
    finished_pod = _object(
        "v1",
        "Pod",
        "finished-task",
        namespace,
        labels={"app": "finished"},
        spec={"restartPolicy": "Never", "containers": [{"name": "task", "image": "docker.io/library/batch:2"}]},
    )
    finished_job = _object(
        "batch/v1",
        "Job",
        "nightly-report",
        namespace,
        spec={"template": {"spec": {**finished_pod["spec"], "restartPolicy": "Never"}}},
    )
    for each in (finished_pod, finished_job):
        each["metadata"]["annotations"] = FINISHED
    return [
        _object("v1", "Namespace", "internal", labels={"kecs.io/service-discovery": "true"}),
        _object("v1", "ConfigMap", "registry", "internal", data={"web": "10.0.0.7"}),
        _object(
            "v1", "ConfigMap", "coredns-custom", "kube-system", data={"internal.server": "internal:53 { whoami }\n"}
        ),
        _object("v1", "Service", "shop-lb", NAMESPACE, labels=ELBV2, spec={"ports": [{"port": 80}]}),
        _object("v1", "ConfigMap", "shop-lb-listeners", NAMESPACE, labels=ELBV2, data={"80": "web:8080"}),
        _object("v1", "PersistentVolumeClaim", "uploads", namespace, spec=_claim()),
        _object(
            "rbac.authorization.k8s.io/v1",
            "ClusterRole",
            "shop-operators",
            rules=[{"apiGroups": ["apps"], "resources": ["deployments"], "verbs": ["get", "patch"]}],
        ),
        _object("scheduling.k8s.io/v1", "PriorityClass", "shop-high", value=1000, description="Checkout first"),
        _object(
            "networking.k8s.io/v1",
            "NetworkPolicy",
            "default-deny",
            namespace,
            spec={"podSelector": {}, "policyTypes": ["Ingress"]},
        ),
        _validating_webhook(namespace),
        finished_pod,
        finished_job,
    ]


def _claim() -> Object:
    return {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}


def _object(
    version: str, kind: str, name: str, namespace: str = "", *, labels: dict[str, str] | None = None, **fields: object
) -> Object:
    metadata: Object = {"name": name} | ({"namespace": namespace} if namespace else {})
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **fields}


def _secret(name: str, namespace: str, labels: dict[str, str]) -> Object:
    value = base64.b64encode(uuid.uuid4().hex.encode()).decode()
    return _object("v1", "Secret", name, namespace, labels=labels, type="Opaque", data={"password": value})


def _binding(name: str, namespace: str, kind: str, role: str, account: str, account_namespace: str) -> Object:
    return _object(
        "rbac.authorization.k8s.io/v1",
        "RoleBinding",
        name,
        namespace,
        labels={"kecs.io/managed-by": "kecs"},
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        subjects=[{"kind": "ServiceAccount", "name": account, "namespace": account_namespace}],
    )


def _validating_webhook(namespace: str) -> Object:
    return _object(
        "admissionregistration.k8s.io/v1",
        "ValidatingWebhookConfiguration",
        "shop-policy",
        webhooks=[
            {
                "name": "policy.shop.example",
                "admissionReviewVersions": ["v1"],
                "sideEffects": "None",
                "failurePolicy": "Ignore",
                "timeoutSeconds": 1,
                "clientConfig": {"service": {"name": "web", "namespace": namespace, "path": "/validate"}},
                "rules": [
                    {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["cronjobs"]}
                ],
            }
        ],
    )


def _definition() -> Object:
    schema = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return _object(
        "apiextensions.k8s.io/v1",
        "CustomResourceDefinition",
        "schedules.demo.example.com",
        spec={
            "group": "demo.example.com",
            "scope": "Namespaced",
            "names": {"plural": "schedules", "singular": "schedule", "kind": "Schedule", "listKind": "ScheduleList"},
            "versions": [
                {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}},
            ],
        },
    )


def _custom_object(number: int) -> Object:
    return _object(
        "demo.example.com/v1", "Schedule", f"schedule-{number}", f"shop-{REGION}", spec={"cron": f"{number} * * * *"}
    )
