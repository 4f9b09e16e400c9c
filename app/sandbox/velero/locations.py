"""BackupStorageLocations: opened for the other controllers, and validated at start, on change and by a tick."""

import asyncio
import base64
import logging
from datetime import timedelta
from pathlib import Path

from app.sandbox.apiclient import ResourceType
from app.sandbox.objects import Object, name_of, phase_of, spec_of, status_of
from app.sandbox.times import now, parse_duration, parse_timestamp, timestamp
from app.sandbox.velero import layout
from app.sandbox.velero.bucket import Bucket, Keys, StoreError, read_keys
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS
from app.sandbox.velero.world import World
from app.sandbox.watching import WorkQueue

TICK_SECONDS = 10
_SECRETS = ResourceType("", "v1", "secrets", "Secret", namespaced=True)
log = logging.getLogger(__name__)


def available(location: Object) -> bool:
    return phase_of(location) == "Available"


async def open_bucket(world: World, location: Object) -> Bucket:
    """Raises StoreError: no credentials, a configuration the plugin refuses, an unknown host."""
    return await world.buckets.open(location, await _keys(world, location))


async def _keys(world: World, location: Object) -> Keys:
    reference = spec_of(location).get("credential")
    profile = (spec_of(location).get("config") or {}).get("profile") or "default"
    if reference:
        secret = await world.api.find(_SECRETS, reference["name"], world.options.namespace)
        encoded = ((secret or {}).get("data") or {}).get(reference["key"])
        if encoded is None:
            raise StoreError(
                f'unable to get credentials: secrets "{reference["name"]}" key "{reference["key"]}" not found'
            )
        return read_keys(base64.b64decode(encoded).decode(), profile)
    if world.credentials_file is None:
        raise StoreError("no credentials: neither spec.credential nor AWS_SHARED_CREDENTIALS_FILE is set")
    try:
        return read_keys(await asyncio.to_thread(Path(world.credentials_file).read_text, "utf-8"), profile)
    except OSError as error:
        raise StoreError(f"error loading credentials: {error.strerror}") from error


class LocationController:
    """Validation is a list of the bucket's top-level names: network, keys and permission, nothing more."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.queue = WorkQueue("backup-storage-location", self._reconcile)
        self._seen_specs: dict[str, Object] = {}
        world.informer(BACKUP_STORAGE_LOCATIONS).subscribe(self._on_event)

    def _on_event(self, event: str, location: Object) -> None:
        name = name_of(location)
        if event == "DELETED":
            self._seen_specs.pop(name, None)
        elif self._seen_specs.get(name) != spec_of(location):
            self._seen_specs[name] = spec_of(location)
            self.queue.add(name)

    async def tick(self) -> None:
        """Every ten seconds, as the real server: a location that is due is validated again."""
        while True:
            await asyncio.sleep(TICK_SECONDS)
            for name, location in self._world.cached(BACKUP_STORAGE_LOCATIONS).items():
                if self._due(location):
                    self.queue.add(name)

    def _due(self, location: Object) -> bool:
        last = status_of(location).get("lastValidationTime")
        if not last:
            return True
        default = parse_duration(self._world.options.validation_frequency, timedelta(minutes=1))
        frequency = parse_duration(spec_of(location).get("validationFrequency"), default)
        return bool(frequency) and now() >= parse_timestamp(last) + frequency

    async def _reconcile(self, name: str) -> None:
        location = await self._world.find(BACKUP_STORAGE_LOCATIONS, name)
        if location is None:
            return
        if name == self._world.options.default_location and not spec_of(location).get("default"):
            self._seen_specs[name] = {**spec_of(location), "default": True}
            await self._world.patch(BACKUP_STORAGE_LOCATIONS, name, {"spec": {"default": True}})
        problem = await self._problem(location)
        if problem:
            log.error("BackupStorageLocation %s is unavailable: %s", name, problem)
        await self._world.patch_status(
            BACKUP_STORAGE_LOCATIONS,
            location,
            phase="Unavailable" if problem else "Available",
            lastValidationTime=timestamp(now()),
            message=problem or None,
        )

    async def _problem(self, location: Object) -> str:
        """Empty if the location can be used."""
        if problem := self._world.switches.location_problem():
            return problem
        storage = spec_of(location).get("objectStorage") or {}
        if not storage.get("bucket"):
            return "backup storage location's bucket name must not be empty"
        if "/" in storage["bucket"]:
            return f"backup storage location's bucket name \"{storage['bucket']}\" must not contain a '/'"
        try:
            names = await (await open_bucket(self._world, location)).top_level_names()
        except StoreError as error:
            return str(error)
        foreign = sorted(set(names) - layout.ALLOWED_TOP_LEVEL)
        return f"Backup store contains invalid top-level directories: [{' '.join(foreign)}]" if foreign else ""
