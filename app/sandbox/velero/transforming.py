"""How an object of a backup is changed before it is created again. Pure functions on copies."""

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from app.sandbox.objects import (
    BACKUP_NAME_LABEL,
    RESTORE_NAME_LABEL,
    Object,
    annotations_of,
    label_value,
    labels_of,
    name_of,
    spec_of,
    status_of,
)

_KEPT_METADATA = ("name", "namespace", "labels", "annotations", "finalizers")
_CONTROLLER_UID = ("controller-uid", "batch.kubernetes.io/controller-uid")
_BINDING_ANNOTATIONS = (
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.beta.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/storage-provisioner",
    "volume.kubernetes.io/selected-node",
)
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"


@dataclass
class RestoreRules:
    """What a Restore's specification says about the objects' new form."""

    backup_name: str
    restore_name: str
    namespace_mapping: Mapping[str, str] = field(default_factory=dict)
    preserve_node_ports: bool = False
    keeps_status: Callable[[str], bool] = lambda _: False
    reprovisioned: set[str] = field(default_factory=set)
    """Names of volumes that are not restored, so that their claims ask for new ones."""

    def target_namespace(self, namespace: str) -> str:
        return self.namespace_mapping.get(namespace, namespace)


def stripped(obj: Object, *, keep_status: bool = False) -> Object:
    """Only what describes the object: no identity, no owners, no history, no status."""
    kept = copy.deepcopy({name: value for name, value in obj.items() if keep_status or name != "status"})
    kept["metadata"] = {name: kept["metadata"][name] for name in _KEPT_METADATA if name in kept["metadata"]}
    return kept


def not_restored(kind: str, obj: Object) -> str:
    """Why an object is never restored; empty if it is."""
    if kind == "pods":
        if status_of(obj).get("phase") in {"Succeeded", "Failed"}:
            return "it is a completed pod"
        if "kubernetes.io/config.mirror" in annotations_of(obj):
            return "it is a mirror pod"
    if kind == "jobs.batch" and status_of(obj).get("completionTime"):
        return "it is a completed job"
    if kind == "secrets" and obj.get("type") == "kubernetes.io/service-account-token":
        return "it is a service account token"
    if kind == "apiservices.apiregistration.k8s.io" and "kube-aggregator.kubernetes.io/automanaged" in labels_of(obj):
        return "the API server manages it"
    return ""


def restored_form(kind: str, obj: Object, rules: RestoreRules) -> Object | None:
    """The object to create, or None if this restore leaves it to somebody else (a re-provisioned volume)."""
    keep_status = rules.keeps_status(kind) or annotations_of(obj).get("velero.io/restore-status") == "true"
    new = stripped(obj, keep_status=keep_status)
    metadata = new["metadata"]
    if "namespace" in metadata:
        metadata["namespace"] = rules.target_namespace(metadata["namespace"])
    if kind == "namespaces":
        metadata["name"] = rules.target_namespace(metadata["name"])
    change = _CHANGES.get(kind)
    if change is not None and change(new, rules) is False:
        return None
    metadata["labels"] = labels_of(new) | {
        BACKUP_NAME_LABEL: label_value(rules.backup_name),
        RESTORE_NAME_LABEL: label_value(rules.restore_name),
    }
    return new


def _pod(pod: Object, _: RestoreRules) -> None:
    spec = spec_of(pod)
    spec.pop("nodeName", None)
    spec.pop("priority", None)
    prefix = f"{spec.get('serviceAccountName', 'default')}-token-"
    tokens = {volume["name"] for volume in spec.get("volumes") or () if volume["name"].startswith(prefix)}
    if not tokens:
        return
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] not in tokens]
    for container in [*spec.get("containers", ()), *(spec.get("initContainers") or ())]:
        mounts = container.get("volumeMounts") or ()
        container["volumeMounts"] = [mount for mount in mounts if mount["name"] not in tokens]


def _service(service: Object, rules: RestoreRules) -> None:
    spec = spec_of(service)
    if spec.get("clusterIP") != "None":
        spec.pop("clusterIP", None)
        spec.pop("clusterIPs", None)
    if rules.preserve_node_ports or spec.get("type") == "ExternalName":
        return
    explicit = _explicit_node_ports(service)
    for port in spec.get("ports") or ():
        if port.get("nodePort") not in explicit:
            port.pop("nodePort", None)
    spec.pop("healthCheckNodePort", None)


def _explicit_node_ports(service: Object) -> set[Any]:
    """The node ports somebody asked for by ``kubectl apply``."""
    try:
        applied = json.loads(annotations_of(service).get(_LAST_APPLIED, "{}"))
    except ValueError:
        return set()
    return {port["nodePort"] for port in spec_of(applied).get("ports") or () if port.get("nodePort")}


def _job(job: Object, _: RestoreRules) -> None:
    spec = spec_of(job)
    selector = spec.get("selector") or {}
    for labels in (
        labels_of(job),
        selector.get("matchLabels") or {},
        ((spec.get("template") or {}).get("metadata") or {}).get("labels") or {},
    ):
        for label in _CONTROLLER_UID:
            labels.pop(label, None)
    if not selector.get("matchLabels") and not selector.get("matchExpressions"):
        spec.pop("selector", None)


def _binding(binding: Object, rules: RestoreRules) -> None:
    for subject in binding.get("subjects") or ():
        if subject.get("namespace"):
            subject["namespace"] = rules.target_namespace(subject["namespace"])


def _volume(volume: Object, rules: RestoreRules) -> bool:
    """A volume that goes with its claim cannot come back: the claim gets a new, empty one."""
    if spec_of(volume).get("persistentVolumeReclaimPolicy") == "Delete":
        rules.reprovisioned.add(name_of(volume))
        return False
    reference = spec_of(volume).get("claimRef")
    if reference:
        reference.pop("uid", None)
        reference.pop("resourceVersion", None)
        reference["namespace"] = rules.target_namespace(reference.get("namespace", ""))
    return True


def _claim(claim: Object, rules: RestoreRules) -> None:
    annotations = annotations_of(claim)
    for name in _BINDING_ANNOTATIONS:
        annotations.pop(name, None)
    if spec_of(claim).get("volumeName") in rules.reprovisioned:
        spec_of(claim).pop("volumeName")


def _service_account(account: Object, _: RestoreRules) -> None:
    prefix = f"{name_of(account)}-token-"
    if account.get("secrets"):
        account["secrets"] = [secret for secret in account["secrets"] if not secret["name"].startswith(prefix)]


_CHANGES: dict[str, Callable[[Object, RestoreRules], bool | None]] = {
    "pods": _pod,
    "services": _service,
    "jobs.batch": _job,
    "rolebindings.rbac.authorization.k8s.io": _binding,
    "clusterrolebindings.rbac.authorization.k8s.io": _binding,
    "persistentvolumes": _volume,
    "persistentvolumeclaims": _claim,
    "serviceaccounts": _service_account,
}


def merged_service_account(live: Object, wanted: Object) -> Object:
    """The union of both: nothing the cluster's own account has is taken away."""
    merged = copy.deepcopy(live)
    for field_name in ("secrets", "imagePullSecrets"):
        known = merged.get(field_name) or []
        added = [entry for entry in wanted.get(field_name) or () if entry not in known]
        if known or added:
            merged[field_name] = known + added
    for kind in ("labels", "annotations"):
        both = {**(wanted["metadata"].get(kind) or {}), **(live["metadata"].get(kind) or {})}
        if both:
            merged["metadata"][kind] = both
    return merged
