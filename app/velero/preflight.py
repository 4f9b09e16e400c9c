"""What in the cluster would hinder a backup, delay it, or be missing from it; looking changes nothing.

The host's side (mounts, free space) is looked at elsewhere.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from app.concurrency import side_by_side
from app.errors import ImageMissing, ServiceError
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesAlreadyExists, KubernetesError, KubernetesNotFound
from app.kubernetes.resources import (
    API_SERVICES,
    ENDPOINTS,
    MUTATING_WEBHOOKS,
    NAMESPACES,
    NODES,
    VALIDATING_WEBHOOKS,
)
from app.settings import StackSettings
from app.velero.admission import rejected, rejection
from app.velero.bodies import custom_resource, ours
from app.velero.images import Image, gone_from_registry, images, known_defect, normal_reference
from app.velero.models import BACKUPS, EXCLUDE_LABEL, GROUP
from app.velero.scope import FULL, backup_spec
from app.velero.selectors import read_label_selector, selects
from app.velero.stack.manifests import LABELS, namespace_manifest
from app.velero.stack.state import foreign_velero, stack_state
from app.velero.unfinished import foreign_work, list_unfinished

#: ``refuse``: a stop must not go on. ``wait``: it may pass by itself, and is left out if it does not. ``list``: will
#: not be in the backup. ``info``: worth knowing.
Effect = Literal["refuse", "wait", "list", "info"]

_PROBE = "kecs-state-preflight"


@dataclass(frozen=True)
class ClusterFinding:
    """One thing found. ``kind`` is ``namespace``, ``api-group``, ``webhook``, ``velero`` or ``image``;
    ``error`` is what a stop would fail with, set exactly when the effect is ``refuse``."""

    effect: Effect
    kind: str
    name: str
    reason: str
    error: ServiceError | None = None


async def inspect_cluster(kube: KubeClient, settings: StackSettings, *, minio: bool = True) -> list[ClusterFinding]:
    """Every check of the cluster, side by side; what refuses comes first. ``minio``: whether one will run there."""
    found = await side_by_side(
        find_namespaces(kube),
        find_dead_api_services(kube),
        find_velero_obstacles(kube, settings),
        find_rejecting_webhooks(kube, settings),
        find_images(kube, settings, minio=minio),
    )
    order: list[Effect] = ["refuse", "wait", "list", "info"]
    return sorted((finding for part in found for finding in part), key=lambda finding: order.index(finding.effect))


async def find_waiting(kube: KubeClient) -> list[ClusterFinding]:
    """Only what may pass by itself; cheap enough to be asked again and again."""
    found = await side_by_side(find_namespaces(kube), find_dead_api_services(kube))
    return [finding for part in found for finding in part if finding.effect == "wait"]


async def find_namespaces(kube: KubeClient) -> list[ClusterFinding]:
    """Namespaces being deleted, and those a label keeps out of every backup."""
    found = []
    for item in (await kube.list(NAMESPACES)).items:
        metadata = item["metadata"]
        if metadata.get("deletionTimestamp") or (item.get("status") or {}).get("phase") == "Terminating":
            found.append(ClusterFinding("wait", "namespace", metadata["name"], "it is being deleted"))
        elif (metadata.get("labels") or {}).get(EXCLUDE_LABEL) == "true":
            reason = f"its label {EXCLUDE_LABEL}=true keeps it and all that is in it out of backups"
            found.append(ClusterFinding("list", "namespace", metadata["name"], reason))
    return found


async def find_dead_api_services(kube: KubeClient) -> list[ClusterFinding]:
    """API groups whose server does not answer: their objects cannot be read, so no backup has them."""
    found = []
    for item in (await kube.list(API_SERVICES)).items:
        for condition in (item.get("status") or {}).get("conditions") or ():
            if condition["type"] == "Available" and condition["status"] == "False":
                reason = condition.get("message") or condition.get("reason") or "it is not available"
                found.append(ClusterFinding("wait", "api-group", item["metadata"]["name"], str(reason)[:300]))
    return found


async def find_velero_obstacles(kube: KubeClient, settings: StackSettings) -> list[ClusterFinding]:
    """Somebody else's Velero, and somebody else's work waiting for a Velero that sleeps."""
    state = await stack_state(kube, settings)
    if state == "foreign":
        if settings.adopt_foreign:
            return [ClusterFinding("info", "velero", settings.namespace, "a Velero of somebody else is used")]
        error = foreign_velero(settings)
        return [ClusterFinding("refuse", "velero", settings.namespace, error.detail, error)]
    if state == "awake":
        return []
    return [
        _refusal("velero", work.name, foreign_work([work]))
        for work in await list_unfinished(kube, settings.namespace)
        if not work.ours
    ]


async def find_rejecting_webhooks(kube: KubeClient, settings: StackSettings) -> list[ClusterFinding]:
    """An admission webhook that rejects our Backup, asked for real by a create that is not stored.

    Before Velero's types and namespace exist, the namespace is asked for in its place, and webhooks that must answer
    a Backup and cannot are found by their rules.
    """
    body = custom_resource(BACKUPS, settings.namespace, _PROBE, backup_spec(FULL, policy_name=_PROBE), ours())
    try:
        await kube.create(BACKUPS, body, settings.namespace, dry_run=True)
    except KubernetesNotFound:
        return await _find_namespace_rejection(kube, settings) or await _find_dead_webhooks(kube, settings)
    except KubernetesError as error:
        return [_rejection(error)]
    return []


async def _find_namespace_rejection(kube: KubeClient, settings: StackSettings) -> list[ClusterFinding]:
    try:
        await kube.create(NAMESPACES, namespace_manifest(settings), dry_run=True)
    except KubernetesAlreadyExists:
        return []
    except KubernetesError as error:
        return [_rejection(error)]
    return []


def _rejection(error: KubernetesError) -> ClusterFinding:
    """Raises the error itself if no webhook is behind it."""
    named = rejection(error)
    if named is None:
        raise error
    return _refusal("webhook", str(named.extras["webhook"]), named)


async def _find_dead_webhooks(kube: KubeClient, settings: StackSettings) -> list[ClusterFinding]:
    lists = await side_by_side(*(kube.list(resource) for resource in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS)))
    found = []
    for configuration in (item for listed in lists for item in listed.items):
        for webhook in configuration.get("webhooks") or ():
            if not concerns_backups(webhook, settings.namespace) or await _answers(kube, webhook):
                continue
            name = webhook["name"]
            detail = f'webhook "{name}" of {configuration["metadata"]["name"]} must answer, and its Service has no pod'
            found.append(_refusal("webhook", name, rejected(name, detail)))
    return found


def concerns_backups(webhook: dict[str, Any], namespace: str) -> bool:
    """Whether creating a Backup in ``namespace`` asks this webhook and fails when it does not answer."""
    if webhook.get("failurePolicy", "Fail") != "Fail":
        return False
    labels = LABELS | {"kubernetes.io/metadata.name": namespace}
    selectors = (webhook.get("namespaceSelector") or {}, labels), (webhook.get("objectSelector") or {}, ours())
    if not all(selects(read_label_selector(selector), having) for selector, having in selectors):
        return False
    return any(
        {"*", GROUP} & set(rule.get("apiGroups") or ())
        and {"*", "*/*", BACKUPS.plural} & set(rule.get("resources") or ())
        and {"*", "CREATE"} & set(rule.get("operations") or ())
        for rule in webhook.get("rules") or ()
    )


async def _answers(kube: KubeClient, webhook: dict[str, Any]) -> bool:
    """Whether there is a pod behind the webhook; one outside the cluster is believed to answer."""
    service = (webhook.get("clientConfig") or {}).get("service")
    if not service:
        return True
    endpoints = await kube.find(ENDPOINTS, service["name"], service["namespace"])
    return any(subset.get("addresses") for subset in (endpoints or {}).get("subsets") or ())


async def find_images(kube: KubeClient, settings: StackSettings, *, minio: bool = True) -> list[ClusterFinding]:
    """Which images of the stack are on a node already, which cannot be pulled any more, which have a known defect."""
    present = await _images_on_nodes(kube)
    found = []
    for image in _needed(settings, minio=minio):
        if defect := known_defect(image.reference):
            found.append(ClusterFinding("info", "image", image.reference, defect))
        if normal_reference(image.reference) in present:
            found.append(ClusterFinding("info", "image", image.reference, "it is on the node"))
        elif gone := gone_from_registry(image.reference):
            error = ImageMissing(
                f"image {image.reference} cannot be had: {gone}",
                remedy=f"Name another image with {image.setting}, or load this one onto the node.",
                image=image.reference,
                setting=image.setting,
            )
            found.append(_refusal("image", image.reference, error))
        else:
            found.append(ClusterFinding("info", "image", image.reference, "it must be pulled first"))
    return found


async def missing_images(kube: KubeClient, settings: StackSettings, *, minio: bool = True) -> list[str]:
    """Images of the stack that no node has yet."""
    present = await _images_on_nodes(kube)
    references = [image.reference for image in _needed(settings, minio=minio)]
    return [reference for reference in references if normal_reference(reference) not in present]


def _needed(settings: StackSettings, *, minio: bool) -> list[Image]:
    return [image for image in images(settings.images) if minio or image.role != "minio"]


async def _images_on_nodes(kube: KubeClient) -> set[str]:
    """A kubelet lists its fifty largest only, so one of another cluster's size may be there and not be told."""
    return {normal_reference(name) for name in _image_names((await kube.list(NODES)).items)}


def _image_names(nodes: Iterable[dict[str, Any]]) -> Iterator[str]:
    for node in nodes:
        for image in (node.get("status") or {}).get("images") or ():
            yield from image.get("names") or ()


def _refusal(kind: str, name: str, error: ServiceError) -> ClusterFinding:
    return ClusterFinding("refuse", kind, name, error.detail, error)
