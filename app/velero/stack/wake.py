"""Waking the stack: from nothing, or from zero replicas, to a Velero that has just validated its storage.

The order matters. Before any replica is raised, everything that waits for Velero is looked at: a starting server
runs what is queued and marks what was running as failed.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app import phases
from app.concurrency import side_by_side, together, while_watching
from app.errors import ServiceError, StackNotReady
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import (
    CRDS,
    DEPLOYMENTS,
    NAMESPACES,
    PODS,
    SECRETS,
    SERVICE_ACCOUNTS,
    STATEFUL_SETS,
)
from app.settings import StackSettings
from app.storage.encryption import StoreEncryption
from app.storage.s3 import S3Credentials, S3Store
from app.velero.admission import naming_webhooks
from app.velero.client import ADOPTED_LOCATION, DEFAULT_LOCATION
from app.velero.models import BACKUP_STORAGE_LOCATIONS, RESTORES, BackupStorageLocation, parse_location
from app.velero.stack import manifests
from app.velero.stack.crds import ensure_definitions, require_filter_policies
from app.velero.stack.external import ExternalPlace, external_credentials_manifest, external_location_manifest
from app.velero.stack.freshness import knowledge_is_old
from app.velero.stack.manifests import MINIO, VELERO, MinioPlace
from app.velero.stack.minio import ask_for_minio, ensure_bucket
from app.velero.stack.rbac import grant
from app.velero.stack.state import foreign_velero, replicas, scale_to_zero, stack_state, woken_by
from app.velero.stack.troubles import list_troubles, raise_on_trouble
from app.velero.unfinished import discard, foreign_work, list_unfinished

POLL_SECONDS = 0.1
MINIO_POD = f"{MINIO}-0"
MOST_LISTED = 20


@dataclass(frozen=True)
class StackContext:
    """What waking needs to know; ``active_jobs`` are those whose unfinished work is still wanted.

    ``place`` is MinIO's directory on the node, or a store elsewhere, for which no MinIO runs; ``credentials`` and
    ``encryption`` are MinIO's. ``crd_cache`` is the host file that remembers the CRDs of the Velero image.
    ``open_store`` gives the client of MinIO's bucket, which need not answer yet; who gives it closes it.
    ``woken_by`` is ``job`` or ``user``.
    """

    kube: KubeClient
    settings: StackSettings
    credentials: S3Credentials = field(repr=False)
    repository_password: str = field(repr=False)
    place: MinioPlace | ExternalPlace
    crd_cache: Path
    open_store: Callable[[], Awaitable[S3Store]]
    encryption: StoreEncryption | None = None
    active_jobs: frozenset[str] = frozenset()
    woken_by: str = "job"
    on_progress: Callable[[str], Awaitable[None]] | None = None


@dataclass(frozen=True)
class WokenStack:
    """The storage location backups go to, MinIO's Service, and how long waking took."""

    location_name: str
    s3_service: str
    seconds: float


async def wake(context: StackContext) -> WokenStack:
    """Velero and MinIO up, the bucket there, the storage location validated anew; every part may run twice.

    Raises ``ForeignVelero``, ``ForeignWork``, ``ImageMissing``, or ``StackNotReady`` with the part that did not
    come up in time.
    """
    return await _Waking(context).run()


class _Waking:
    """One wake: its context, and the last thing it said it was doing."""

    def __init__(self, context: StackContext) -> None:
        self._context = context
        self._kube = context.kube
        self._settings = context.settings
        self._namespace = context.settings.namespace
        self._doing = "looking at what is there"
        #: Who had woken a Velero that is restarted; a person's stays a person's.
        self._keeper = ""

    async def run(self) -> WokenStack:
        started = time.monotonic()
        seconds = self._settings.wake_timeout_seconds
        try:
            async with asyncio.timeout(seconds):
                with naming_webhooks():
                    location = await self._wake()
        except TimeoutError:
            raise await self._not_ready(seconds) from None
        return WokenStack(location, MINIO, time.monotonic() - started)

    async def _wake(self) -> str:
        if await stack_state(self._kube, self._settings) == "foreign":
            if not self._settings.adopt_foreign:
                raise foreign_velero(self._settings)
            return await self._join_foreign()
        if not await self._stays_up():
            await self._say("waiting until the last pods are gone")
            await self._nothing_of_before()
            await self._no_work_waiting()
        await while_watching(self._bring_up(), raise_on_trouble(self._kube, self._settings))
        return DEFAULT_LOCATION

    async def _stays_up(self) -> bool:
        """Whether a Velero that runs may go on: resident, lingering or a person's, if its knowledge is fresh."""
        deployment = await self._kube.find(DEPLOYMENTS, VELERO, self._namespace)
        if deployment is None or not replicas(deployment):
            return False
        stays = self._settings.mode == "resident" or self._settings.linger_seconds > 0
        if not stays and woken_by(deployment) != "user":
            return False
        busy = any(not work.ours for work in await list_unfinished(self._kube, self._namespace))
        return busy or not await knowledge_is_old(self._kube, self._settings)

    async def _nothing_of_before(self) -> None:
        """A server that an interrupted job has left up would have old knowledge, so it goes.

        A MinIO on its way out is waited for, too: its Service leads to it until it is gone, and a Velero started
        meanwhile might connect to that one and hear nothing (docs/sleep.md).
        """
        velero, minio = await side_by_side(
            self._kube.find(DEPLOYMENTS, VELERO, self._namespace),
            self._kube.find(STATEFUL_SETS, MINIO, self._namespace),
        )
        self._keeper = woken_by(velero)
        await scale_to_zero(self._kube, DEPLOYMENTS, VELERO, self._namespace)
        minio_sleeps = minio is None or not replicas(minio)
        while any(
            _is_in_the_way(pod["metadata"], minio_sleeps=minio_sleeps)
            for pod in (await self._kube.list(PODS, self._namespace, metadata_only=True)).items
        ):
            await asyncio.sleep(POLL_SECONDS)

    async def _no_work_waiting(self) -> None:
        """Refuse over unfinished work of others, unless a person wants it run; what jobs of ours left behind goes."""
        waiting = await list_unfinished(self._kube, self._namespace)
        foreign = [work for work in waiting if not work.ours]
        if foreign and self._context.woken_by != "user":
            raise foreign_work(foreign)
        left = [work for work in waiting if work.ours and work.job_id not in self._context.active_jobs]
        await side_by_side(*(discard(self._kube, self._namespace, work) for work in left))

    async def _bring_up(self) -> None:
        """MinIO comes up while Velero's types are made; Velero validates as soon as both are there."""
        await self._say("preparing the namespace")
        stuck = {trouble.pod for trouble in await list_troubles(self._kube, self._settings)}
        await side_by_side(*(self._remove(pod) for pod in stuck - {MINIO_POD}))
        await self._kube.apply(NAMESPACES, manifests.namespace_manifest(self._settings))
        await self._kube.apply(SERVICE_ACCOUNTS, manifests.service_account_manifest(self._settings))
        await self._say("preparing the store and installing Velero's types")
        _, address = await together(self._definitions(), self._grant_and_prepare_store())
        if MINIO_POD in stuck:
            # A StatefulSet does not replace a pod that never got ready, even when its template has been mended.
            await self._remove(MINIO_POD)
        await self._forget_validation(DEFAULT_LOCATION)
        await self._kube.apply(BACKUP_STORAGE_LOCATIONS, self._location_manifest())
        await self._start_velero(address or None)
        await self._say("waiting for the store")
        await self._ensure_bucket()
        await self._say("waiting for Velero to validate its storage")
        await self._validate(DEFAULT_LOCATION)

    async def _apply_credentials(self) -> None:
        manifest = manifests.credentials_manifest(self._settings, self._context.credentials, self._context.encryption)
        await self._kube.apply(SECRETS, manifest)

    async def _definitions(self) -> None:
        await ensure_definitions(self._kube, self._settings, self._context.crd_cache)

    async def _grant_and_prepare_store(self) -> str:
        """Everything else that a starting Velero and MinIO find there; gives the address of MinIO's Service."""
        password = manifests.repository_password_manifest(self._settings, self._context.repository_password)
        await side_by_side(
            grant(self._kube, self._settings), self._apply_credentials(), self._kube.apply(SECRETS, password)
        )
        return await self._prepare_store()

    async def _prepare_store(self) -> str:
        """MinIO asked for, and the address of its Service; for a store elsewhere only its keys, and no address."""
        place = self._context.place
        if isinstance(place, MinioPlace):
            return await ask_for_minio(self._kube, self._settings, place)
        await self._kube.apply(SECRETS, external_credentials_manifest(self._settings, place))
        await scale_to_zero(self._kube, STATEFUL_SETS, MINIO, self._namespace)
        return ""

    def _location_manifest(self) -> manifests.Manifest:
        place = self._context.place
        if isinstance(place, MinioPlace):
            return manifests.storage_location_manifest(self._settings, place.encryption)
        return external_location_manifest(self._settings, DEFAULT_LOCATION, place)

    async def _remove(self, pod: str) -> None:
        """A pod that an earlier wake could not get to run."""
        await self._kube.delete(PODS, pod, self._namespace, grace_seconds=0)

    async def _start_velero(self, minio_cluster_ip: str | None) -> None:
        deployment = await self._kube.find(DEPLOYMENTS, VELERO, self._namespace)
        by_user = "user" in {woken_by(deployment), self._context.woken_by, self._keeper}
        manifest = manifests.velero_manifest(
            self._settings, minio_cluster_ip=minio_cluster_ip, woken_by="user" if by_user else "job"
        )
        await self._kube.apply(DEPLOYMENTS, manifest)

    async def _ensure_bucket(self) -> None:
        if isinstance(self._context.place, MinioPlace):
            await ensure_bucket(self._kube, self._settings, await self._context.open_store())

    async def _forget_validation(self, name: str) -> None:
        """Its time counts in whole seconds, so a new validation would not show beside one of the same second."""
        if (await self._location(name)) is not None:
            patch = {"status": {"lastValidationTime": None}}
            await self._kube.merge_patch(BACKUP_STORAGE_LOCATIONS, name, patch, self._namespace)

    async def _location(self, name: str) -> BackupStorageLocation | None:
        found = await self._kube.find(BACKUP_STORAGE_LOCATIONS, name, self._namespace)
        return parse_location(found) if found is not None else None

    async def _validate(self, name: str) -> None:
        """Until the location is Available by a validation since the last one was forgotten.

        A first validation that came too early is not waited out: a changed specification brings the next at once.
        """

        def validated(found: dict[str, Any] | None) -> bool:
            status = parse_location(found).status if found is not None else None
            return status is not None and status.phase == phases.AVAILABLE and status.last_validation_time is not None

        now = await self._kube.find(BACKUP_STORAGE_LOCATIONS, name, self._namespace)
        if not validated(now):
            frequency = ((now or {}).get("spec") or {}).get("validationFrequency")
            other = (
                manifests.OTHER_VALIDATION_FREQUENCY
                if frequency == manifests.VALIDATION_FREQUENCY
                else manifests.VALIDATION_FREQUENCY
            )
            patch = {"spec": {"validationFrequency": other}}
            await self._kube.merge_patch(BACKUP_STORAGE_LOCATIONS, name, patch, self._namespace)
        await self._kube.wait_for(
            BACKUP_STORAGE_LOCATIONS,
            name,
            self._namespace,
            validated,
            timeout_seconds=self._settings.wake_timeout_seconds,
        )

    async def _join_foreign(self) -> str:
        """Our MinIO and a location of our own beside a Velero that stays as it is and is never put to sleep."""
        await self._say("joining the Velero that is there")
        definition = await self._kube.get(CRDS, RESTORES.group_resource)
        require_filter_policies([definition], "the installed Velero")
        await self._apply_credentials()
        address = await self._prepare_store()
        await while_watching(self._ensure_bucket(), raise_on_trouble(self._kube, self._settings))
        await self._forget_validation(ADOPTED_LOCATION)
        place = self._context.place
        if isinstance(place, MinioPlace):
            manifest = manifests.adopted_location_manifest(self._settings, ADOPTED_LOCATION, address, place.encryption)
        else:
            manifest = external_location_manifest(self._settings, ADOPTED_LOCATION, place)
        await self._kube.apply(BACKUP_STORAGE_LOCATIONS, manifest)
        await self._validate(ADOPTED_LOCATION)
        return ADOPTED_LOCATION

    async def _say(self, doing: str) -> None:
        self._doing = doing
        if self._context.on_progress is not None:
            await self._context.on_progress(doing)

    async def _not_ready(self, seconds: float) -> StackNotReady:
        """What did not come up, with what the pods and the location say of it."""
        details = []
        try:
            details += [f"{one.pod}: {one.reason}" for one in await list_troubles(self._kube, self._settings)]
            location = await self._location(DEFAULT_LOCATION)
            if location is not None and location.status.message:
                details.append(location.status.message)
        except ServiceError:
            details.append("the API server does not answer")
        more = f" ({'; '.join(details)[:500]})" if details else ""
        return StackNotReady(
            f"the stack was not up within {seconds:g} s; it was {self._doing}{more}",
            remedy=f"See the pods and events of namespace {self._namespace!r}, then try again.",
            details=details[:MOST_LISTED],
        )


def _is_in_the_way(metadata: dict[str, Any], *, minio_sleeps: bool) -> bool:
    """Whether a pod is any Velero, or a MinIO that will not stay."""
    labels = metadata.get("labels") or {}
    leaves = minio_sleeps or "deletionTimestamp" in metadata
    return labels.get("deploy") == VELERO or (labels.get("app") == MINIO and leaves)
