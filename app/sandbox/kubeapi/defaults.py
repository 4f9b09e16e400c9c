"""The values the real API server fills in, per kind. Only those that clients of the sandbox can notice."""

import base64
from collections.abc import Callable

from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, entries, mapping, metadata_of
from app.sandbox.kubeapi.schemas import conform

# Spec-less status that every new object of the kind begins with.
_FIRST_STATUS: dict[str, Object] = {
    "pods": {"phase": "Pending"},
    "namespaces": {"phase": "Active"},
    "persistentvolumeclaims": {"phase": "Pending"},
    "persistentvolumes": {"phase": "Pending"},
    "services": {"loadBalancer": {}},
}


def fill_in(kind: Kind, obj: Object) -> None:
    """Defaults of a new or changed object, in place; running it twice changes nothing more."""
    if kind.schema is not None:
        conform(kind.schema, obj)
    function = _DEFAULTS.get(kind.storage)
    if function is not None:
        function(obj)


def first_status(storage: str, obj: Object) -> None:
    """Replaces the status a client sent with a new object's own."""
    obj.pop("status", None)
    if storage in _FIRST_STATUS:
        obj["status"] = dict(_FIRST_STATUS[storage])
    if storage == "pods":
        obj["status"]["qosClass"] = "BestEffort"


def _spec(obj: Object) -> Object:
    spec = obj.get("spec")
    if not isinstance(spec, dict):
        spec = obj["spec"] = {}
    return spec


def _set(target: Object, **values: object) -> None:
    for field, value in values.items():
        if target.get(field) is None:
            target[field] = value


def _pod_spec(spec: Object) -> None:
    _set(
        spec,
        restartPolicy="Always",
        terminationGracePeriodSeconds=30,
        dnsPolicy="ClusterFirst",
        securityContext={},
        schedulerName="default-scheduler",
    )
    for container in [*entries(spec, "containers"), *entries(spec, "initContainers")]:
        if isinstance(container, dict):
            _container(container)


def _container(container: Object) -> None:
    image = str(container.get("image", ""))
    tagged = "@" in image or ":" in image.rpartition("/")[2]
    always = not tagged or image.endswith(":latest")
    _set(
        container,
        resources={},
        terminationMessagePath="/dev/termination-log",
        terminationMessagePolicy="File",
        imagePullPolicy="Always" if always else "IfNotPresent",
    )
    for port in entries(container, "ports"):
        if isinstance(port, dict):
            _set(port, protocol="TCP")


def _pod(obj: Object) -> None:
    spec = _spec(obj)
    _pod_spec(spec)
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    _set(
        spec,
        serviceAccountName=name,
        serviceAccount=name,
        enableServiceLinks=True,
        preemptionPolicy="PreemptLowerPriority",
    )
    _set(spec, priority=0)


def _template(obj: Object) -> None:
    template = _spec(obj).get("template")
    if isinstance(template, dict) and isinstance(template.get("spec"), dict):
        metadata_of(template).setdefault("creationTimestamp", None)
        _pod_spec(template["spec"])


def _deployment(obj: Object) -> None:
    spec = _spec(obj)
    _set(spec, replicas=1, revisionHistoryLimit=10, progressDeadlineSeconds=600, strategy={})
    strategy = spec["strategy"]
    if isinstance(strategy, dict):
        _set(strategy, type="RollingUpdate")
        if strategy["type"] == "RollingUpdate":
            _set(strategy, rollingUpdate={"maxSurge": "25%", "maxUnavailable": "25%"})
    _template(obj)


def _stateful_set(obj: Object) -> None:
    spec = _spec(obj)
    _set(
        spec,
        replicas=1,
        revisionHistoryLimit=10,
        podManagementPolicy="OrderedReady",
        updateStrategy={"type": "RollingUpdate", "rollingUpdate": {"partition": 0}},
        persistentVolumeClaimRetentionPolicy={"whenDeleted": "Retain", "whenScaled": "Retain"},
    )
    _template(obj)


def _daemon_set(obj: Object) -> None:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0, "maxUnavailable": 1}}
    _set(_spec(obj), revisionHistoryLimit=10, updateStrategy=rolling)
    _template(obj)


def _replica_set(obj: Object) -> None:
    _set(_spec(obj), replicas=1)
    _template(obj)


def _job(obj: Object) -> None:
    spec = _spec(obj)
    if spec.get("parallelism") is None and spec.get("completions") is None:
        spec["completions"] = 1
    _set(spec, parallelism=1, backoffLimit=6, completionMode="NonIndexed", suspend=False)
    uid = metadata_of(obj).get("uid")
    if uid and not spec.get("manualSelector"):
        _set(spec, selector={"matchLabels": {"batch.kubernetes.io/controller-uid": uid}})
        template = spec.get("template")
        if isinstance(template, dict):
            _job_labels(metadata_of(template), metadata_of(obj))
    _template(obj)


def _job_labels(template: Object, job: Object) -> None:
    labels = template.setdefault("labels", {})
    if isinstance(labels, dict):
        for prefix in ("batch.kubernetes.io/", ""):
            labels.setdefault(f"{prefix}controller-uid", job["uid"])
            labels.setdefault(f"{prefix}job-name", job.get("name"))


def _cron_job(obj: Object) -> None:
    _set(_spec(obj), concurrencyPolicy="Allow", suspend=False, successfulJobsHistoryLimit=3, failedJobsHistoryLimit=1)


def _service(obj: Object) -> None:
    spec = _spec(obj)
    _set(spec, type="ClusterIP", sessionAffinity="None")
    for port in entries(spec, "ports"):
        if isinstance(port, dict):
            _set(port, protocol="TCP", targetPort=port.get("port"))
    if spec["type"] != "ExternalName":
        _set(spec, internalTrafficPolicy="Cluster", ipFamilies=["IPv4"], ipFamilyPolicy="SingleStack")
    if spec["type"] in {"NodePort", "LoadBalancer"}:
        _set(spec, externalTrafficPolicy="Cluster")


def _secret(obj: Object) -> None:
    plain = obj.pop("stringData", None)
    if isinstance(plain, dict) and plain:
        encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in plain.items()}
        obj["data"] = {**mapping(obj, "data"), **encoded}
    _set(obj, type="Opaque")


def _namespace(obj: Object) -> None:
    metadata = metadata_of(obj)
    labels = metadata.get("labels")
    if not isinstance(labels, dict):
        labels = metadata["labels"] = {}
    labels["kubernetes.io/metadata.name"] = metadata.get("name")
    spec = _spec(obj)
    if not metadata.get("deletionTimestamp"):
        _set(spec, finalizers=["kubernetes"])


def _claim(obj: Object) -> None:
    _set(_spec(obj), volumeMode="Filesystem")


def _volume(obj: Object) -> None:
    _set(_spec(obj), persistentVolumeReclaimPolicy="Retain", volumeMode="Filesystem")


def _storage_class(obj: Object) -> None:
    _set(obj, reclaimPolicy="Delete", volumeBindingMode="Immediate")


def _webhooks(obj: Object) -> None:
    for webhook in entries(obj, "webhooks"):
        if isinstance(webhook, dict):
            _set(
                webhook,
                failurePolicy="Fail",
                matchPolicy="Equivalent",
                timeoutSeconds=10,
                namespaceSelector={},
                objectSelector={},
            )
            for rule in entries(webhook, "rules"):
                if isinstance(rule, dict):
                    _set(rule, scope="*")


_DEFAULTS: dict[str, Callable[[Object], None]] = {
    "pods": _pod,
    "podtemplates": _template,
    "deployments.apps": _deployment,
    "statefulsets.apps": _stateful_set,
    "daemonsets.apps": _daemon_set,
    "replicasets.apps": _replica_set,
    "replicationcontrollers": _replica_set,
    "jobs.batch": _job,
    "cronjobs.batch": _cron_job,
    "services": _service,
    "secrets": _secret,
    "namespaces": _namespace,
    "persistentvolumeclaims": _claim,
    "persistentvolumes": _volume,
    "storageclasses.storage.k8s.io": _storage_class,
    "mutatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
    "validatingwebhookconfigurations.admissionregistration.k8s.io": _webhooks,
}
