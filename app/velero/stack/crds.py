"""Velero's own CRDs: read once from its image, remembered on the host, applied and waited for."""

import asyncio
import contextlib
import hashlib
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from app.concurrency import side_by_side
from app.errors import StackNotReady
from app.host.files import read_private, write_private
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesAlreadyExists, KubernetesNotFound, KubernetesUnavailable
from app.kubernetes.resources import CRDS, PODS, Resource
from app.settings import StackSettings
from app.velero.models import ALL_TYPES, RESTORES
from app.velero.stack.manifests import LABELS, VELERO, definitions_pod_manifest

#: Says which set of definitions an applied one belongs to, so that an unchanged set is not sent again.
APPLIED_FROM = "kecs-state.dev/applied-from"
POLL_SECONDS = 0.02

Definition = dict[str, Any]


async def ensure_definitions(kube: KubeClient, settings: StackSettings, cache: Path) -> None:
    """All types of Velero served and warm. Needs the namespace and its ServiceAccount.

    Raises ``StackNotReady`` when the image prints something else or is too old for filter policies.
    """
    # Hundreds of kilobytes of JSON: read and written beside the event loop.
    definitions = await asyncio.to_thread(remembered_definitions, cache, settings.images.velero)
    if definitions is None:
        definitions = await read_definitions(kube, settings)
        content = json.dumps({"image": settings.images.velero, "definitions": definitions})
        await asyncio.to_thread(write_private, cache, content.encode())
    require_filter_policies(definitions, settings.images.velero)
    await apply_definitions(kube, definitions)
    await warm_up(kube, settings.namespace)


def remembered_definitions(cache: Path, image: str) -> list[Definition] | None:
    """The definitions of this image as kept on the host; None if there are none or they cannot be read."""
    try:
        kept = json.loads(read_private(cache) or b"null")
    except ValueError:
        return None
    if not isinstance(kept, dict) or kept.get("image") != image:
        return None
    definitions: list[Definition] = kept["definitions"]
    return definitions


async def read_definitions(kube: KubeClient, settings: StackSettings) -> list[Definition]:
    """Let a pod of Velero's image print its definitions. A pod left by an interrupted run is used."""
    digest = hashlib.sha256(settings.images.velero.encode()).hexdigest()[:10]
    name = f"velero-crds-{digest}"
    with contextlib.suppress(KubernetesAlreadyExists):
        await kube.create(PODS, definitions_pod_manifest(settings, name), settings.namespace)
    pod = await kube.wait_for(PODS, name, settings.namespace, _ended, timeout_seconds=settings.wake_timeout_seconds)
    if pod is None:
        raise StackNotReady(f"pod {name!r}, which reads Velero's CRDs, was deleted", remedy="Try again.")
    text = await kube.pod_log(settings.namespace, name, VELERO)
    await kube.delete(PODS, name, settings.namespace, grace_seconds=0)
    if pod["status"]["phase"] != "Succeeded":
        raise StackNotReady(
            f"{settings.images.velero} did not print its CRDs: {_last_words(pod, text)}"[:1000],
            remedy="Check that the image is Velero's.",
        )
    return await asyncio.to_thread(parse_definitions, text)


def _last_words(pod: dict[str, Any], text: str) -> str:
    """Of the program; or of the kubelet, if there was no such program in the image."""
    if lines := text.splitlines()[-5:]:
        return " | ".join(lines)
    ended = (entry.get("state", {}).get("terminated") or {} for entry in pod["status"].get("containerStatuses") or ())
    return "; ".join(f"{state.get('reason', '')}: {state.get('message', '')}" for state in ended)


def _ended(pod: dict[str, Any] | None) -> bool:
    return pod is None or (pod.get("status") or {}).get("phase") in {"Succeeded", "Failed"}


def parse_definitions(text: str) -> list[Definition]:
    """The definitions in what Velero printed: a List, or documents one after the other, perhaps after other lines."""
    decoder, position = json.JSONDecoder(), text.find("{")
    found: list[Definition] = []
    while position >= 0:
        try:
            document, end = decoder.raw_decode(text, position)
        except ValueError:
            break
        found += document.get("items") or [document]
        position = text.find("{", end)
    definitions = [_cleaned(item) for item in found if item.get("kind") == CRDS.kind]
    missing = {resource.plural for resource in ALL_TYPES} - {item["spec"]["names"]["plural"] for item in definitions}
    if missing:
        raise StackNotReady(
            f"Velero's image did not print the CRDs of {', '.join(sorted(missing))}",
            remedy="Use Velero v1.18.3 or newer.",
        )
    return definitions


def _cleaned(definition: Definition) -> Definition:
    metadata = definition["metadata"]
    kept = {"name": metadata["name"], "labels": (metadata.get("labels") or {}) | LABELS}
    if metadata.get("annotations"):
        kept["annotations"] = metadata["annotations"]
    return {"apiVersion": CRDS.api_version, "kind": CRDS.kind, "metadata": kept, "spec": definition["spec"]}


def require_filter_policies(definitions: Iterable[Definition], image: str) -> None:
    """Raise ``StackNotReady`` when a Restore's filter policy would be dropped in silence."""
    for definition in definitions:
        if definition["spec"]["names"]["plural"] == RESTORES.plural and not _keeps_policy(definition):
            raise StackNotReady(
                f"{image} is older than v1.18.3: its Restores drop the filter policy and would restore everything",
                remedy="Use Velero v1.18.3 or newer.",
                image=image,
            )


def _keeps_policy(definition: Definition) -> bool:
    for version in definition["spec"]["versions"]:
        schema = (version.get("schema") or {}).get("openAPIV3Schema") or {}
        spec = (schema.get("properties") or {}).get("spec") or {}
        if not any(part.get("x-kubernetes-preserve-unknown-fields") for part in (schema, spec)) and (
            "resourcePolicy" not in (spec.get("properties") or {})
        ):
            return False
    return True


async def apply_definitions(kube: KubeClient, definitions: list[Definition]) -> None:
    """Apply what is not there in this form yet, all at once, and wait until every type is established."""
    digest = await asyncio.to_thread(_digest, definitions)
    selector = f"component={LABELS['component']}"
    applied = {
        item["metadata"]["name"]: (item["metadata"].get("annotations") or {}).get(APPLIED_FROM)
        for item in (await kube.list(CRDS, label_selector=selector, metadata_only=True)).items
    }
    changed = [item for item in definitions if applied.get(item["metadata"]["name"]) != digest]
    if not changed:
        return
    await side_by_side(*(kube.apply(CRDS, _marked(item, digest)) for item in changed))
    names = {item["metadata"]["name"] for item in definitions}
    while True:
        served = (await kube.list(CRDS, label_selector=selector)).items
        if names <= {item["metadata"]["name"] for item in served if established(item)}:
            return
        await asyncio.sleep(POLL_SECONDS)


def _digest(definitions: list[Definition]) -> str:
    return hashlib.sha256(json.dumps(definitions, sort_keys=True).encode()).hexdigest()[:16]


def _marked(definition: Definition, digest: str) -> Definition:
    metadata = definition["metadata"]
    annotations = (metadata.get("annotations") or {}) | {APPLIED_FROM: digest}
    return definition | {"metadata": metadata | {"annotations": annotations}}


def established(definition: Definition) -> bool:
    """Whether the API server serves the type."""
    conditions = (definition.get("status") or {}).get("conditions") or ()
    return any(entry["type"] == "Established" and entry["status"] == "True" for entry in conditions)


async def warm_up(kube: KubeClient, namespace: str) -> None:
    """List every type once: the first request to a new type is answered with 429, for which Velero would wait a
    second each (measured: two seconds of each first start)."""
    await side_by_side(*(_list_once(kube, resource, namespace) for resource in ALL_TYPES))


async def _list_once(kube: KubeClient, resource: Resource, namespace: str) -> None:
    while True:
        try:
            await kube.list(resource, namespace, metadata_only=True)
        except (KubernetesNotFound, KubernetesUnavailable):
            await asyncio.sleep(POLL_SECONDS)
        else:
            return
