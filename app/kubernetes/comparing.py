"""Is an object what it was? Comparing content, without what the cluster itself writes into objects.

Everything ignored is ignored by a rule with a name, and its use is counted, so that a result can say what it did not
look at. Values of Secrets are compared but never shown.
"""

import copy
import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Object = dict[str, Any]

#: Written by the API server into the metadata of every object.
_METADATA = (
    "uid",
    "resourceVersion",
    "creationTimestamp",
    "generation",
    "managedFields",
    "ownerReferences",
    "selfLink",
    "deletionGracePeriodSeconds",
)
_ANNOTATIONS = (
    "deployment.kubernetes.io/revision",
    "pv.kubernetes.io/bind-completed",
    "pv.kubernetes.io/bound-by-controller",
    "volume.kubernetes.io/selected-node",
    "volume.kubernetes.io/storage-provisioner",
    "volume.beta.kubernetes.io/storage-provisioner",
    "kecs-state.dev/replicas-before-restore",
)
#: Allocated by the API server or by a controller, by kind.
_SPEC = {
    "Service": ("clusterIP", "clusterIPs", "healthCheckNodePort"),
    "Pod": ("nodeName", "priority", "preemptionPolicy"),
    "PersistentVolumeClaim": ("volumeName",),
    "PersistentVolume": ("claimRef",),
    "Namespace": ("finalizers",),
}
#: Kept by every API server as it is reached now; seen on a real one that came back on another port.
_API_SERVICE = ("default", "kubernetes")
#: Velero's (pkg/restorehelper); it stays in the pod.
_WAITING_CONTAINER = "restore-wait"
_JOB_LABELS = ("controller-uid", "batch.kubernetes.io/controller-uid")


@dataclass(frozen=True)
class FieldDifference:
    """One field, as a JSON pointer, before and after; Secret values are shown as digests."""

    path: str
    before: Any
    after: Any


def normalise(found: Object) -> tuple[Object, Counter[str]]:
    """A copy without what is ignored, and how often each rule was used."""
    kept, used = copy.deepcopy(found), Counter[str]()
    _drop(kept, "status", used, "status")
    metadata = kept["metadata"]
    for key in _METADATA:
        _drop(metadata, key, used, f"metadata.{key}")
    labels = metadata.get("labels") or {}
    for label in [label for label in labels if label.startswith("velero.io/")]:
        _drop(labels, label, used, "velero.io labels")
    annotations = metadata.get("annotations") or {}
    for annotation in _ANNOTATIONS:
        _drop(annotations, annotation, used, f"annotation {annotation}")
    for name in ("labels", "annotations"):
        if not metadata.get(name):
            metadata.pop(name, None)
    _by_kind(kept, used)
    return kept, used


def _by_kind(kept: Object, used: Counter[str]) -> None:
    kind, spec = kept.get("kind", ""), kept.get("spec") or {}
    for key in _SPEC.get(kind, ()):
        if not (key.startswith("clusterIP") and spec.get("clusterIP") == "None"):
            _drop(spec, key, used, f"{kind} spec.{key}")
    if kind == "Service":
        own = (kept["metadata"].get("namespace"), kept["metadata"]["name"]) == _API_SERVICE
        for port in spec.get("ports") or []:
            _drop(port, "nodePort", used, "Service nodePort")
            if own:
                _drop(port, "targetPort", used, "targetPort of the API server's own Service")
    if kind == "Job":
        _drop_controller_uid(spec, used)
    for webhook in kept.get("webhooks") or []:
        _drop(webhook.get("clientConfig") or {}, "caBundle", used, "webhook caBundle")
    if kind == "Pod":
        _drop_token_volumes(spec, used)
        _drop_waiting_container(spec, used)


def _drop_controller_uid(spec: Object, used: Counter[str]) -> None:
    """The labels by which a Job knows its pods; Velero drops them, the API server makes new ones."""
    selected = (spec.get("selector") or {}).get("matchLabels")
    template = (spec.get("template") or {}).get("metadata", {}).get("labels")
    for labels in (selected, template):
        for label in _JOB_LABELS:
            _drop(labels or {}, label, used, "Job controller-uid")


def _drop_token_volumes(spec: Object, used: Counter[str]) -> None:
    """The projected token volume that the API server mounts into every pod."""
    tokens = {volume["name"] for volume in spec.get("volumes") or [] if volume["name"].startswith("kube-api-access-")}
    if not tokens:
        return
    used["Pod token volume"] += 1
    spec["volumes"] = [volume for volume in spec["volumes"] if volume["name"] not in tokens]
    for container in [*(spec.get("initContainers") or []), *spec["containers"]]:
        mounts = container.get("volumeMounts") or []
        container["volumeMounts"] = [mount for mount in mounts if mount["name"] not in tokens]


def _drop_waiting_container(spec: Object, used: Counter[str]) -> None:
    """The init container in which a restored pod waited for the data of its volumes."""
    containers = spec.get("initContainers") or []
    spec["initContainers"] = [container for container in containers if container["name"] != _WAITING_CONTAINER]
    if len(spec["initContainers"]) < len(containers):
        used["Pod restore-wait container"] += 1


def _drop(holder: Object, key: str, used: Counter[str], rule: str) -> None:
    if key in holder:
        del holder[key]
        used[rule] += 1


def differences(before: Object, after: Object) -> list[FieldDifference]:
    """Fields of two normalised objects that differ, by path.

    Of a Secret every value is masked: an annotation may hold a copy of the data, as ``kubectl apply`` makes one.
    """
    found = list(_differences("", before, after))
    return [_masked(each) for each in found] if before.get("kind") == "Secret" else found


def _differences(path: str, before: Any, after: Any) -> Iterator[FieldDifference]:
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            yield from _differences(
                f"{path}/{key.replace('~', '~0').replace('/', '~1')}", before.get(key), after.get(key)
            )
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _differences(f"{path}/{index}", one, other)
    elif before != after and not (_says_nothing(before) and _says_nothing(after)):
        yield FieldDifference(path, before, after)


def _says_nothing(value: Any) -> bool:
    """Absent, null and an empty list or map are the same to Kubernetes; an empty text, 0 and false are values."""
    return value in (None, [], {})


def _masked(difference: FieldDifference) -> FieldDifference:
    def digest(value: Any) -> str | None:
        if value is None:
            return None
        return "sha256:" + hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]

    return FieldDifference(difference.path, digest(difference.before), digest(difference.after))
