"""Which volumes a file-system backup holds: the rules as a table, and the list of a cluster over the wire."""

from pathlib import PurePosixPath
from typing import Any

import pytest

from app.kubernetes.client import KubeClient
from app.kubernetes.resources import NAMESPACES, PERSISTENT_VOLUME_CLAIMS, PODS
from app.settings import StackSettings
from app.velero.pod_volumes import read_pod_volume_backups, read_replaced_volumes
from app.velero.scope import Scope, backup_policy, backup_spec
from app.velero.volumes import ClusterVolumes, PodVolume, list_volumes, volumes_of

SAVING = Scope(volumes=True)
JOB = {"kind": "Job", "name": "nightly", "uid": "j", "controller": True}


def pod(*volumes: dict[str, Any], phase: str = "Running", mounted: bool = True, **metadata: Any) -> dict[str, Any]:
    """A pod of one container that mounts all of its volumes, or none."""
    mounts = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes if mounted]
    return {
        "metadata": {"namespace": "web", "name": "api", "uid": "u"} | metadata,
        "spec": {"containers": [{"name": "main", "image": "registry.invalid/x", "volumeMounts": mounts}]}
        | {"volumes": list(volumes)},
        "status": {"phase": phase},
    }


def a_claim(**backing: Any) -> dict[str, Any]:
    """Claim ``web/db``, bound to a volume of that kind."""
    claim = {"metadata": {"namespace": "web", "name": "db"}, "spec": {"volumeName": "pv"}}
    return {"web/db": (claim, {"metadata": {"name": "pv"}, "spec": backing} if backing else None)}


def judged(found: dict[str, Any], bound: dict[str, Any] | None = None, scope: Scope = SAVING) -> PodVolume:
    """The one volume of a pod."""
    (volume,) = volumes_of(found, bound or {}, scope)
    return volume


CLAIM = {"name": "data", "persistentVolumeClaim": {"claimName": "db"}}
EMPTY = {"name": "data", "emptyDir": {}}


@pytest.mark.parametrize("volume", [EMPTY, CLAIM])
def test_what_the_kubelet_keeps_is_saved(volume: dict[str, Any]) -> None:
    """emptyDirs, and claims on anything but a path of the node."""
    assert judged(pod(volume), a_claim(local={"path": "/srv"})).protection == "protected"


@pytest.mark.parametrize("kind", ["secret", "configMap", "projected", "downwardAPI"])
def test_what_is_made_from_objects_needs_no_copy(kind: str) -> None:
    """It is named, and nothing is lost with it."""
    volume = judged(pod({"name": "data", kind: {}}))
    assert (volume.protection, volume.at_stake) == ("skipped", False)


@pytest.mark.parametrize(
    ("found", "bound", "reason"),
    [
        (pod({"name": "data", "hostPath": {"path": "/srv"}}), {}, "/srv lies on the node"),
        (pod(EMPTY, namespace="kecs-system"), {}, "does not take its pod"),
        (pod(EMPTY, labels={"velero.io/exclude-from-backup": "true"}), {}, "does not take its pod"),
        (pod(EMPTY, ownerReferences=[JOB]), {}, "a Job makes its pod anew"),
        (pod(EMPTY, phase="Pending"), {}, "does not run"),
        (pod({"name": "data", "csi": {}}, mounted=False), {}, "no container mounts it"),
        (pod(CLAIM), {}, "bound to no volume"),
        (pod(CLAIM), a_claim(), "bound to no volume"),
        (pod(CLAIM), a_claim(hostPath={"path": "/srv"}), "/srv of the node"),
        (pod(CLAIM), a_claim(csi={"driver": "d"}, volumeMode="Block"), "block device"),
    ],
)
def test_what_cannot_be_saved_says_why(found: dict[str, Any], bound: dict[str, Any], reason: str) -> None:
    """Velero itself skips these with a warning at most, and calls the backup Completed."""
    volume = judged(found, bound)
    assert volume.protection == "unsupported"
    assert reason in volume.reason


@pytest.mark.parametrize(
    ("found", "bound", "reason"),
    [
        (pod({"name": "data", "hostPath": {"path": "/host/kecs"}}), {}, "/host/kecs lies on the host"),
        (pod(CLAIM), a_claim(hostPath={"path": "/host/db"}), "/host/db lies on the host"),
        (pod({"name": "data", "nfs": {"server": "s", "path": "/"}}), {}, "another server"),
        (pod(CLAIM), a_claim(nfs={"server": "s"}), "another server"),
        (pod(EMPTY, mounted=False), {}, "holds nothing"),
    ],
)
def test_what_outlives_the_cluster_or_holds_nothing_is_not_at_stake(
    found: dict[str, Any], bound: dict[str, Any], reason: str
) -> None:
    """Named with its reason, but neither warned of nor refused."""
    (volume,) = volumes_of(found, bound, Scope(), [PurePosixPath("/host")])
    assert (volume.protection, volume.at_stake) == ("skipped", False)
    assert reason in volume.reason
    assert ClusterVolumes(volumes=[volume]).lost == []


def test_nothing_is_protected_that_nobody_asked_to_save() -> None:
    """By default volumes are only named."""
    volume = judged(pod(EMPTY), scope=Scope())
    assert (volume.protection, volume.at_stake) == ("skipped", True)
    assert ClusterVolumes(volumes=[volume]).lost == [("web/api:data (emptyDir)", volume.reason)]


def test_an_ephemeral_volume_is_known_by_the_claim_kubernetes_makes() -> None:
    """Pod and volume make its name."""
    volume = judged(pod({"name": "data", "ephemeral": {"volumeClaimTemplate": {}}}))
    assert volume.claim == "api-data"


def test_a_claim_that_one_pod_saves_is_not_lost_with_another() -> None:
    """Its data is in the backup once."""
    first = judged(pod(CLAIM), a_claim(local={"path": "/srv"}))
    second = judged(pod(CLAIM, name="other", phase="Pending"), a_claim(local={"path": "/srv"}))
    assert (first.protection, second.protection) == ("protected", "unsupported")
    assert ClusterVolumes(volumes=[second, first]).lost == []


def test_only_a_backup_of_volumes_says_so_to_velero() -> None:
    """No pod is changed for it; what lies on other servers stays there."""
    assert backup_spec(SAVING, policy_name="p")["defaultVolumesToFsBackup"] is True
    assert backup_policy(SAVING)["volumePolicies"] == [{"conditions": {"nfs": {}}, "action": {"type": "skip"}}]
    assert "volumePolicies" not in backup_policy(Scope())


async def test_a_cluster_is_listed_with_the_claims_that_no_pod_uses(kube: KubeClient) -> None:
    """The node's own pods are not looked at, and ended ones hold nothing."""
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    await kube.create(NAMESPACES, {"metadata": {"name": "web"}})
    await kube.create(PERSISTENT_VOLUME_CLAIMS, {"metadata": {"name": "idle"}, "spec": spec}, "web")
    for namespace in ("web", "kube-system"):
        body = pod(EMPTY) | {"metadata": {"name": "api", "namespace": namespace}}
        await kube.create(PODS, body, namespace)
    found = await list_volumes(kube, StackSettings(), SAVING)
    assert [(volume.namespace, volume.volume) for volume in found.volumes] == [("web", "data")]
    assert found.unused_claims == ["web/idle"]
    assert ("web/idle (claim)", "no pod uses it; its data is not saved") in found.lost


@pytest.mark.parametrize("packed", [b"", b"not gzip", b"\x1f\x8b\x08\x00broken"])
def test_lists_of_volumes_that_cannot_be_read_are_empty(packed: bytes) -> None:
    """The proof has its own finding for them."""
    assert read_pod_volume_backups(packed) == []
    assert read_replaced_volumes(packed) == set()
