"""Pods of the stack that will never run: said within seconds instead of at the deadline."""

import asyncio
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

from app.errors import ImageMissing, ServiceError, StackNotReady
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesUnavailable
from app.kubernetes.resources import PODS
from app.settings import StackSettings
from app.velero.images import gone_from_registry, images
from app.velero.models import MANAGED_BY, MANAGED_BY_LABEL

POLL_SECONDS = 0.5
#: A first failed pull is often followed by a good one.
PATIENCE_SECONDS = 5.0
LOG_LINES = 8

_NEVER = {"InvalidImageName", "ErrImageNeverPull"}
_IMAGE = {"ErrImagePull", "ImagePullBackOff", "ImageInspectError", "RegistryUnavailable"} | _NEVER
_CRASH = {"CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


@dataclass(frozen=True)
class Trouble:
    """A container that waits for something that does not come."""

    pod: str
    container: str
    image: str
    reason: str
    message: str


async def raise_on_trouble(kube: KubeClient, settings: StackSettings) -> NoReturn:
    """Watch our pods for ever; raises ``ImageMissing`` or ``StackNotReady`` when one is in lasting trouble."""
    clock = asyncio.get_running_loop().time
    seen: dict[tuple[str, str], float] = {}
    while True:
        with contextlib.suppress(KubernetesUnavailable):
            troubles = {(trouble.pod, trouble.container): trouble for trouble in await list_troubles(kube, settings)}
            seen = {place: seen.get(place, clock()) for place in troubles}
            for place, trouble in troubles.items():
                if trouble.reason in _NEVER or clock() - seen[place] >= PATIENCE_SECONDS:
                    raise await _error(kube, settings, trouble)
        await asyncio.sleep(POLL_SECONDS)


async def list_troubles(kube: KubeClient, settings: StackSettings) -> list[Trouble]:
    """Containers of our pods that cannot start now."""
    selector = f"{MANAGED_BY_LABEL}={MANAGED_BY}"
    pods = (await kube.list(PODS, settings.namespace, label_selector=selector)).items
    return [trouble for pod in pods for trouble in troubles_of(pod)]


def troubles_of(pod: dict[str, Any]) -> Iterator[Trouble]:
    """What keeps the containers of a pod from starting; nothing for a pod that is going away."""
    if pod["metadata"].get("deletionTimestamp"):
        return
    status = pod.get("status") or {}
    for entry in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (entry.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") in _IMAGE | _CRASH:
            yield Trouble(
                pod=pod["metadata"]["name"],
                container=entry["name"],
                image=_image_of(pod, entry),
                reason=waiting["reason"],
                message=str(waiting.get("message", "")),
            )


def _image_of(pod: dict[str, Any], entry: dict[str, Any]) -> str:
    """As the manifest names it; the status may name it in another form."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    return next((str(made["image"]) for made in containers if made["name"] == entry["name"]), str(entry.get("image")))


async def _error(kube: KubeClient, settings: StackSettings, trouble: Trouble) -> ServiceError:
    if trouble.reason in _IMAGE:
        return image_missing(settings, trouble.image, f"{trouble.reason}: {trouble.message}".rstrip(": "))
    lines: list[str] = []
    with contextlib.suppress(ServiceError):
        text = await kube.pod_log(settings.namespace, trouble.pod, trouble.container)
        lines = text.splitlines()[-LOG_LINES:]
    return StackNotReady(
        f"pod {trouble.pod!r} does not run ({trouble.reason}): {' | '.join(lines) or trouble.message}"[:1500],
        remedy=f"See `kubectl -n {settings.namespace} describe pod {trouble.pod}`.",
        pod=trouble.pod,
        reason=trouble.reason,
    )


def image_missing(settings: StackSettings, reference: str, message: str) -> ImageMissing:
    """The problem of an image that cannot be had, with the setting that names another one."""
    setting = next((image.setting for image in images(settings.images) if image.reference == reference), "")
    why = f"; {gone}" if (gone := gone_from_registry(reference)) else ""
    return ImageMissing(
        f"image {reference} cannot be had: {message}{why}",
        remedy=f"Load the image onto the node, or name another one with {setting or 'KECS_STATE_STACK__IMAGES__…'}.",
        image=reference,
        setting=setting,
        pod_message=message,
    )
