"""The volumes of running pods: which a file-system backup holds, which need none, and which it cannot hold.

Facts of Velero 1.18.3 (pkg/podvolume/backupper.go, pkg/util/podvolume): the node-agent reads a volume where the kubelet
keeps it, so hostPaths, which lie elsewhere, are out of its reach, claims bound to one included; so are block devices
and what no container mounts. What is made from objects needs no copy, nor does what outlives the cluster: directories
that the node has from this host, and other servers' shares.
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from app.concurrency import side_by_side
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS
from app.settings import StackSettings
from app.velero.restoring import EXCLUDED_NAMESPACES
from app.velero.scope import KUBE_SYSTEM, Scope, in_scope

Protection = Literal["protected", "skipped", "unsupported"]

CLAIM, EMPTY_DIR, HOST_PATH = "persistentVolumeClaim", "emptyDir", "hostPath"
#: Made anew from objects, or from the node, whenever the pod is.
GENERATED = frozenset({"configMap", "downwardAPI", "image", "projected", "secret"})

_Object = dict[str, Any]
#: A claim, and the volume it is bound to.
_Claim = tuple[_Object, _Object | None]


class PodVolume(BaseModel):
    """One volume of a running pod, and what becomes of its content."""

    model_config = ConfigDict(frozen=True)

    namespace: str
    pod: str
    pod_uid: str
    volume: str
    type: str = Field(examples=["emptyDir", "persistentVolumeClaim", "hostPath", "projected"])
    claim: str = Field(default="", description="The claim's name, where the volume is one.")
    protection: Protection
    reason: str = ""
    at_stake: bool = Field(
        default=True, description="Whether data would be lost with the cluster if no backup held the volume."
    )
    size_bytes: int | None = Field(default=None, description="Bytes of its files, once it is saved.")
    uploaded_bytes: int | None = Field(
        default=None, description="Of these, what this backup had to store; the rest was stored by earlier ones."
    )

    @property
    def place(self) -> str:
        """``shop/db (claim)`` or ``shop/web-1:cache (emptyDir)``, as people read it."""
        if self.claim:
            return f"{self.namespace}/{self.claim} (claim)"
        return f"{self.namespace}/{self.pod}:{self.volume} ({self.type})"


class ClusterVolumes(BaseModel):
    """All volumes of running pods, and the claims whose data no pod uses."""

    model_config = ConfigDict(frozen=True)

    volumes: list[PodVolume] = []
    unused_claims: list[str] = []

    @property
    def lost(self) -> list[tuple[str, str]]:
        """Place and reason of everything with data that the backup will not hold; each place once, sorted."""
        protected = {volume.place for volume in self.volumes if volume.protection == "protected"}
        found = {
            volume.place: volume.reason for volume in self.volumes if volume.at_stake and volume.place not in protected
        }
        unused = {f"{claim} (claim)": "no pod uses it; its data is not saved" for claim in self.unused_claims}
        return sorted((found | unused).items())


async def list_volumes(
    kube: KubeClient, settings: StackSettings, scope: Scope, from_host: Iterable[str] = ()
) -> ClusterVolumes:
    """What a backup of ``scope`` made now would hold of every volume; the node's own pods are not looked at.

    ``from_host`` are the node's paths that are directories of this host.
    """
    here = [PurePosixPath(path) for path in from_host]
    skipped = {*EXCLUDED_NAMESPACES, KUBE_SYSTEM, settings.namespace}
    pods, claims, persistent = await side_by_side(
        kube.list(PODS), kube.list(PERSISTENT_VOLUME_CLAIMS), kube.list(PERSISTENT_VOLUMES)
    )
    backing = {found["metadata"]["name"]: found for found in persistent.items}
    bound = {_place(claim): (claim, backing.get(claim["spec"].get("volumeName") or "")) for claim in claims.items}
    volumes = [
        volume
        for pod in pods.items
        if pod["metadata"]["namespace"] not in skipped and not _ended(pod)
        for volume in volumes_of(pod, bound, scope, here)
    ]
    used = {f"{volume.namespace}/{volume.claim}" for volume in volumes}
    unused = sorted(place for place in bound if place not in used and place.partition("/")[0] not in skipped)
    return ClusterVolumes(volumes=volumes, unused_claims=unused)


def volumes_of(
    pod: _Object,
    bound: Mapping[str, _Claim],
    scope: Scope,
    from_host: Collection[PurePosixPath] = (),
) -> Iterable[PodVolume]:
    """The volumes of one pod; ``bound`` has the cluster's claims by place, each with the volume behind it."""
    metadata = pod["metadata"]
    for volume in (pod.get("spec") or {}).get("volumes") or ():
        kind = next((key for key in volume if key != "name"), EMPTY_DIR)
        claim = (volume.get(CLAIM) or {}).get("claimName", "")
        if "ephemeral" in volume:
            claim = f"{metadata['name']}-{volume['name']}"  # how Kubernetes names the claim it makes for one
        behind = bound.get(f"{metadata['namespace']}/{claim}")
        needless = _needs_no_copy(pod, volume, kind, behind, from_host)
        protection, reason = ("skipped", needless) if needless else _judge(pod, volume, kind, behind, scope)
        yield PodVolume(
            namespace=metadata["namespace"],
            pod=metadata["name"],
            pod_uid=metadata["uid"],
            volume=volume["name"],
            type=kind,
            claim=claim,
            protection=protection,
            reason=reason,
            at_stake=not needless,
        )


def _needs_no_copy(
    pod: _Object, volume: _Object, kind: str, claim: _Claim | None, from_host: Collection[PurePosixPath]
) -> str:
    """Why nothing is lost without a copy; empty if something would be."""
    source = volume if kind == HOST_PATH else _spec_behind(claim)
    path = (source.get(HOST_PATH) or {}).get("path", "")
    if kind in GENERATED:
        return "it is made anew from what the backup holds, or from the node"
    if kind == EMPTY_DIR and volume["name"] not in _mounted(pod):
        return "no container mounts it, so it holds nothing"
    if path and any(PurePosixPath(path).is_relative_to(parent) for parent in from_host):
        return f"{path} lies on the host, where it stays"
    if kind == "nfs" or "nfs" in source:
        return "it lies on another server, where it stays"
    return ""


def _judge(pod: _Object, volume: _Object, kind: str, claim: _Claim | None, scope: Scope) -> tuple[Protection, str]:
    hindrances = [*_hindrances(pod, volume, kind, scope)]
    if kind in {CLAIM, "ephemeral"}:
        hindrances += _hindrances_of_claim(claim)
    reason = next((reason for hinders, reason in hindrances if hinders), "")
    if reason:
        return "unsupported", reason
    return ("protected", "") if scope.volumes else ("skipped", "volumes are not saved unless that is asked for")


def _hindrances(pod: _Object, volume: _Object, kind: str, scope: Scope) -> Iterable[tuple[bool, str]]:
    path = (volume.get(HOST_PATH) or {}).get("path", "")
    by_job = any(owner.get("kind") == "Job" and owner.get("controller") for owner in _owners(pod))
    in_vain = "so nothing would bring its data back"
    yield kind == HOST_PATH, f"{path} lies on the node and is not saved"
    yield not in_scope(PODS, pod["metadata"], scope), f"the backup does not take its pod, {in_vain}"
    yield by_job, f"a Job makes its pod anew, {in_vain}"
    yield (pod.get("status") or {}).get("phase") != "Running", "its pod does not run"
    yield volume["name"] not in _mounted(pod), "no container mounts it as a directory"


def _hindrances_of_claim(claim: _Claim | None) -> Iterable[tuple[bool, str]]:
    spec = _spec_behind(claim)
    path = (spec.get(HOST_PATH) or {}).get("path", "")
    yield not spec, "its claim is bound to no volume"
    yield bool(path), f"its claim is {path} of the node, which cannot be read where the kubelet keeps volumes"
    yield spec.get("volumeMode") == "Block", "it is a block device"


def _spec_behind(claim: _Claim | None) -> _Object:
    """The specification of the volume a claim is bound to, empty without one."""
    return (claim[1] or {}).get("spec") or {} if claim is not None else {}


def _owners(pod: _Object) -> list[_Object]:
    return pod["metadata"].get("ownerReferences") or []


def _mounted(pod: _Object) -> set[str]:
    return {mount["name"] for container in pod["spec"]["containers"] for mount in container.get("volumeMounts") or ()}


def _ended(pod: _Object) -> bool:
    return (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def _place(found: _Object) -> str:
    return f"{found['metadata']['namespace']}/{found['metadata']['name']}"
