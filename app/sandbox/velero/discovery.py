"""What the API server serves, as Velero sees it: read at start, then only every five minutes.

A kind that appears in between is left out of backups without a word, exactly like the real server.
"""

import asyncio
import logging

from app.sandbox.apiclient import ApiError, KubernetesApi, ResourceType
from app.sandbox.objects import Object

REFRESH_SECONDS = 300
_NEEDED_VERBS = frozenset({"list", "create", "get", "delete"})
log = logging.getLogger(__name__)


class Discovery:
    """Preferred versions only; ``refresh`` replaces the whole picture at once."""

    def __init__(self, api: KubernetesApi) -> None:
        self._api = api
        self._by_name: dict[str, ResourceType] = {}
        self._by_alias: dict[str, ResourceType] = {}

    @property
    def resources(self) -> list[ResourceType]:
        """Core group first, then the other groups in the server's order."""
        return list(self._by_name.values())

    def find(self, name: str) -> ResourceType | None:
        """By ``plural.group``, or by plural, singular, kind or short name of the first group that has it."""
        return self._by_name.get(name) or self._by_alias.get(name.lower())

    async def refresh(self) -> None:
        groups = (await self._api.request("GET", "/apis")).get("groups") or []
        versions = [("", "v1")]
        for group in groups:
            preferred = (group.get("preferredVersion") or group["versions"][0])["version"]
            others = [entry["version"] for entry in group["versions"] if entry["version"] != preferred]
            versions += [(group["name"], version) for version in (preferred, *others)]
        answers = await asyncio.gather(*(self._read(group, version) for group, version in versions))
        by_name: dict[str, ResourceType] = {}
        by_alias: dict[str, ResourceType] = {}
        for resource in (resource for answer in answers for resource in answer):
            if by_name.setdefault(resource.name, resource) is resource:
                for alias in resource.aliases:
                    by_alias.setdefault(alias, resource)
        self._by_name, self._by_alias = by_name, by_alias

    async def _read(self, group: str, version: str) -> list[ResourceType]:
        path = f"/apis/{group}/{version}" if group else f"/api/{version}"
        try:
            answer = await self._api.request("GET", path)
        except ApiError as error:
            log.warning("Failed to discover group %s/%s: %s", group, version, error)
            return []
        return [_resource(group, version, entry) for entry in answer.get("resources", ()) if "/" not in entry["name"]]

    async def keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_SECONDS)
            try:
                await self.refresh()
            except Exception:
                log.exception("Error refreshing discovery")


def restorable(resource: ResourceType) -> bool:
    """Whether Velero would back the kind up at all."""
    return resource.verbs >= _NEEDED_VERBS


def _resource(group: str, version: str, entry: Object) -> ResourceType:
    plural, kind = entry["name"], entry["kind"]
    aliases = {plural, entry.get("singularName") or kind.lower(), kind.lower(), *entry.get("shortNames", ())}
    return ResourceType(
        group=group,
        version=version,
        plural=plural,
        kind=kind,
        namespaced=bool(entry.get("namespaced")),
        verbs=frozenset(entry.get("verbs", ())),
        aliases=tuple(aliases),
    )
