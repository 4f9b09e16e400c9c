"""The controllers of workloads: each turn brings the pods nearer to what the objects say.

Velero drops ownerReferences, so restored ReplicaSets and pods are adopted by their labels, as the real controllers do.
"""

import hashlib
import json
import secrets

from app.sandbox.apiclient import ResourceType
from app.sandbox.kubelet.state import (
    DAEMON_SETS,
    DEPLOYMENTS,
    JOBS,
    PODS,
    REPLICA_SETS,
    STATEFUL_SETS,
    ClusterState,
    controller_uid,
    is_active,
    is_ready,
    owner_reference,
    selects,
)
from app.sandbox.objects import Object, annotations_of, labels_of, name_of, namespace_of
from app.sandbox.times import now, timestamp

HASH_LABEL = "pod-template-hash"
REVISION_LABEL = "controller-revision-hash"
COMPLETES_ANNOTATION = "sandbox.kecs.dev/completes"
REVISION_ANNOTATION = "deployment.kubernetes.io/revision"


async def reconcile_workloads(state: ClusterState) -> None:
    """One turn of every controller."""
    for deployment in state.all(DEPLOYMENTS):
        if not deployment["metadata"].get("deletionTimestamp"):
            await reconcile_deployment(state, deployment)
    for replica_set in state.all(REPLICA_SETS):
        await reconcile_replicas(state, REPLICA_SETS, replica_set, replica_set["spec"].get("replicas", 1))
    for daemon_set in state.all(DAEMON_SETS):
        await reconcile_replicas(state, DAEMON_SETS, daemon_set, 1)
    for stateful_set in state.all(STATEFUL_SETS):
        await reconcile_stateful_set(state, stateful_set)
    for job in state.all(JOBS):
        await reconcile_job(state, job)


def template_hash(template: Object) -> str:
    """A short stable name for a pod template."""
    return hashlib.sha256(json.dumps(template, sort_keys=True).encode()).hexdigest()[:10]


async def reconcile_deployment(state: ClusterState, deployment: Object) -> None:
    """The ReplicaSet of the current template has all replicas, the older ones none."""
    spec, current = deployment["spec"], template_hash(deployment["spec"]["template"])
    owned = [each for each in state.all(REPLICA_SETS) if await _own(state, DEPLOYMENTS, deployment, REPLICA_SETS, each)]
    if not any(labels_of(replica_set).get(HASH_LABEL) == current for replica_set in owned):
        created = await state.create(REPLICA_SETS, _replica_set(deployment, current))
        owned += [created] if created else []
    for replica_set in owned:
        wanted = spec.get("replicas", 1) if labels_of(replica_set).get(HASH_LABEL) == current else 0
        if replica_set["spec"].get("replicas") != wanted:
            await state.patch(REPLICA_SETS, replica_set, {"spec": {"replicas": wanted}})
    if REVISION_ANNOTATION not in annotations_of(deployment):
        noted = {"metadata": {"annotations": {REVISION_ANNOTATION: "1"}}}
        await state.patch(DEPLOYMENTS, deployment, noted, status=True)
    ready = sum((replica_set.get("status") or {}).get("readyReplicas", 0) for replica_set in owned)
    await _set_counts(state, DEPLOYMENTS, deployment, spec.get("replicas", 1), ready)


def _replica_set(deployment: Object, current: str) -> Object:
    spec = deployment["spec"]
    labels = {**(spec["template"].get("metadata", {}).get("labels") or {}), HASH_LABEL: current}
    template = {**spec["template"], "metadata": {**spec["template"].get("metadata", {}), "labels": labels}}
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {
            "name": f"{name_of(deployment)}-{current}",
            "namespace": namespace_of(deployment),
            "labels": labels,
            "annotations": {REVISION_ANNOTATION: "1"},
            "ownerReferences": [owner_reference(DEPLOYMENTS, deployment)],
        },
        "spec": {
            "replicas": spec.get("replicas", 1),
            "selector": {"matchLabels": {**spec["selector"].get("matchLabels", {}), HASH_LABEL: current}},
            "template": template,
        },
    }


async def reconcile_replicas(state: ClusterState, resource: ResourceType, owner: Object, wanted: int) -> None:
    """As many active pods as wanted; surplus ones go, those that are not ready first."""
    if owner["metadata"].get("deletionTimestamp"):
        return
    active = await _pods_of(state, resource, owner)
    for _ in range(wanted - len(active)):
        await state.create(PODS, _pod(resource, owner, f"{name_of(owner)}-{secrets.token_hex(3)[:5]}"))
    for pod in sorted(active, key=is_ready)[: max(0, len(active) - wanted)]:
        await state.delete(PODS, pod)
    await _set_counts(state, resource, owner, wanted, sum(map(is_ready, active)))


async def reconcile_stateful_set(state: ClusterState, owner: Object) -> None:
    """Pods by ordinal: those missing are made, those too high go."""
    if owner["metadata"].get("deletionTimestamp"):
        return
    wanted = owner["spec"].get("replicas", 1)
    pods = {name_of(pod): pod for pod in await _pods_of(state, STATEFUL_SETS, owner)}
    names = [f"{name_of(owner)}-{ordinal}" for ordinal in range(wanted)]
    for name in names:
        if name not in pods and state.find(PODS, namespace_of(owner), name) is None:
            pod = _pod(STATEFUL_SETS, owner, name)
            pod["metadata"]["labels"]["statefulset.kubernetes.io/pod-name"] = name
            await state.create(PODS, pod)
    for name, pod in pods.items():
        if name not in names:
            await state.delete(PODS, pod)
    await _set_counts(state, STATEFUL_SETS, owner, wanted, sum(is_ready(pod) for pod in pods.values()))


async def reconcile_job(state: ClusterState, job: Object) -> None:
    """One pod until it has succeeded; then the Job is complete."""
    if job["metadata"].get("deletionTimestamp") or (job.get("status") or {}).get("completionTime"):
        return
    uid = job["metadata"]["uid"]
    pods = [pod for pod in state.all(PODS) if controller_uid(pod) == uid]
    if any((pod.get("status") or {}).get("phase") == "Succeeded" for pod in pods):
        ended = timestamp(now())
        condition = {"type": "Complete", "status": "True", "lastTransitionTime": ended}
        status = {"succeeded": 1, "active": 0, "completionTime": ended, "conditions": [condition]}
        await state.set_status(JOBS, job, status)
    elif not pods:
        pod = _pod(JOBS, job, f"{name_of(job)}-{secrets.token_hex(3)[:5]}")
        pod["metadata"]["labels"] |= {
            "batch.kubernetes.io/controller-uid": uid,
            "batch.kubernetes.io/job-name": name_of(job),
        }
        if COMPLETES_ANNOTATION in annotations_of(job):
            pod["metadata"]["annotations"] = {COMPLETES_ANNOTATION: "true"}
        await state.create(PODS, pod)
        await state.set_status(JOBS, job, {"active": 1, "startTime": timestamp(now())})


async def _pods_of(state: ClusterState, resource: ResourceType, owner: Object) -> list[Object]:
    return [pod for pod in state.all(PODS) if is_active(pod) and await _own(state, resource, owner, PODS, pod)]


async def _own(state: ClusterState, resource: ResourceType, owner: Object, kind: ResourceType, obj: Object) -> bool:
    """Whether ``obj`` belongs to ``owner``; one without a controller that its selector matches is adopted."""
    uid = controller_uid(obj)
    if uid or namespace_of(obj) != namespace_of(owner):
        return uid == str(owner["metadata"]["uid"])
    if not selects(owner["spec"].get("selector") or {}, labels_of(obj)) or obj["metadata"].get("deletionTimestamp"):
        return False
    reference = owner_reference(resource, owner)
    return await state.patch(kind, obj, {"metadata": {"ownerReferences": [reference]}}) is not None


def _pod(resource: ResourceType, owner: Object, name: str) -> Object:
    template = owner["spec"]["template"]
    labels = dict(template.get("metadata", {}).get("labels") or {})
    if resource in {STATEFUL_SETS, DAEMON_SETS}:
        labels[REVISION_LABEL] = f"{name_of(owner)}-{template_hash(template)}"
    metadata: Object = {
        "name": name,
        "namespace": namespace_of(owner),
        "labels": labels,
        "ownerReferences": [owner_reference(resource, owner)],
    }
    annotations = template.get("metadata", {}).get("annotations")
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


async def _set_counts(state: ClusterState, resource: ResourceType, owner: Object, wanted: int, ready: int) -> None:
    status: Object = {"observedGeneration": owner["metadata"].get("generation", 1)}
    if resource is DAEMON_SETS:
        status |= {"desiredNumberScheduled": wanted, "currentNumberScheduled": wanted, "numberReady": ready}
    else:
        status |= {"replicas": wanted, "readyReplicas": ready, "availableReplicas": ready}
    if resource is DEPLOYMENTS:
        available = "True" if ready >= wanted else "False"
        status |= {"updatedReplicas": wanted, "conditions": [{"type": "Available", "status": available}]}
    await state.set_status(resource, owner, status)
