"""Prepares a Backup for its run: defaults are written into the specification, what is wrong is listed."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from app.sandbox.apiclient import KubernetesApi, ResourceType
from app.sandbox.objects import EXCLUDE_LABEL, STORAGE_LOCATION_LABEL, Object, label_value, name_of, spec_of
from app.sandbox.times import format_duration, later, now, parse_duration, timestamp
from app.sandbox.velero.archive import FORMAT_VERSION
from app.sandbox.velero.filters import NameFilter
from app.sandbox.velero.kinds import BACKUP_STORAGE_LOCATIONS
from app.sandbox.velero.locations import available
from app.sandbox.velero.policies import FilterPolicy, PolicyError, parse_policy
from app.sandbox.velero.scope import NEW_FIELDS, OLD_FIELDS, BackupScope, uses
from app.sandbox.velero.world import World

_CONFIG_MAPS = ResourceType("", "v1", "configmaps", "ConfigMap", namespaced=True)
_NAMESPACES = ResourceType("", "v1", "namespaces", "Namespace", namespaced=False)
_SNAPSHOT_KINDS = ["volumesnapshots.snapshot.storage.k8s.io", "volumesnapshotcontents.snapshot.storage.k8s.io"]
_MIXED = (
    "include-resources, exclude-resources and include-cluster-resources are old filter parameters.\n"
    "include-cluster-scoped-resources, exclude-cluster-scoped-resources, include-namespace-scoped-resources and "
    "exclude-namespace-scoped-resources are new filter parameters.\nThey cannot be used together"
)


@dataclass(frozen=True)
class Prepared:
    """``patch`` is what goes to the CR before the run; with errors the backup ends as FailedValidation."""

    patch: Object
    scope: BackupScope
    location: Object | None
    errors: list[str]


async def prepare(world: World, backup: Object) -> Prepared:
    spec = {**spec_of(backup), **await _defaults(world, spec_of(backup))}
    location = await world.find(BACKUP_STORAGE_LOCATIONS, spec["storageLocation"])
    policy, errors = await read_policy(world.api, world.options.namespace, spec.get("resourcePolicy"))
    errors = _location_errors(spec["storageLocation"], location) + errors + _filter_errors(spec_of(backup), policy)
    errors += world.switches.validation_errors()
    if not uses(spec, NEW_FIELDS) and not policy.filters and not policy.include_exclude:
        spec["excludedResources"] = [*(spec.get("excludedResources") or ()), *_SNAPSHOT_KINDS]
    version = world.kubernetes_version
    ttl = parse_duration(spec["ttl"], timedelta())
    patch: Object = {
        "metadata": {
            "labels": {STORAGE_LOCATION_LABEL: label_value(spec["storageLocation"])},
            "annotations": {
                "velero.io/source-cluster-k8s-gitversion": version.get("gitVersion", ""),
                "velero.io/source-cluster-k8s-major-version": version.get("major", ""),
                "velero.io/source-cluster-k8s-minor-version": version.get("minor", ""),
                "velero.io/resource-timeout": "10m0s",
            },
        },
        "spec": spec,
        "status": {
            "version": 1,
            "formatVersion": FORMAT_VERSION,
            "expiration": timestamp(later(now(), ttl)),
            "queuePosition": None,
        },
    }
    scope = BackupScope.of(spec, world.discovery, policy)
    return Prepared(patch, scope, location, errors)


async def _defaults(world: World, spec: Object) -> dict[str, Any]:
    """The fields Velero fills in."""
    default_ttl = parse_duration(world.options.default_ttl, timedelta(days=30))
    try:
        ttl = parse_duration(spec.get("ttl"), default_ttl) or default_ttl
    except ValueError:
        ttl = default_ttl
    hidden = (await world.api.list(_NAMESPACES, label_selector=f"{EXCLUDE_LABEL}=true")).items
    excluded = list(spec.get("excludedNamespaces") or ())
    excluded += [name_of(namespace) for namespace in hidden if name_of(namespace) not in excluded]
    filled: dict[str, Any] = {
        "ttl": format_duration(ttl),
        "csiSnapshotTimeout": spec.get("csiSnapshotTimeout") or "10m0s",
        "itemOperationTimeout": spec.get("itemOperationTimeout") or "4h0m0s",
        "storageLocation": spec.get("storageLocation") or world.options.default_location,
        "includedNamespaces": spec.get("includedNamespaces") or ["*"],
        "defaultVolumesToFsBackup": bool(spec.get("defaultVolumesToFsBackup")),
        "snapshotMoveData": bool(spec.get("snapshotMoveData")),
    }
    return filled | ({"excludedNamespaces": excluded} if excluded else {})


async def read_policy(api: KubernetesApi, namespace: str, reference: Object | None) -> tuple[FilterPolicy, list[str]]:
    """The policy a Backup or Restore refers to, and what is wrong with it."""
    if not reference:
        return FilterPolicy(), []
    name = reference.get("name", "")
    if str(reference.get("kind", "")).lower() != "configmap":
        return FilterPolicy(), [f"resource policy kind {reference.get('kind')} is not supported, only configmap"]
    config_map = await api.find(_CONFIG_MAPS, name, namespace)
    if config_map is None:
        reason = f'configmaps "{name}" not found'
        return FilterPolicy(), [f"failed to get resource policies {namespace}/{name} configmap, {reason}"]
    try:
        return parse_policy(config_map), []
    except PolicyError as error:
        return FilterPolicy(), [str(error)]


def _location_errors(name: str, location: Object | None) -> list[str]:
    if location is None:
        return [
            "a BackupStorageLocation CRD with the name specified in the backup spec needs to be created before this "
            f'backup can be executed. Error: backupstoragelocations.velero.io "{name}" not found'
        ]
    errors = []
    if spec_of(location).get("accessMode") == "ReadOnly":
        errors.append(f"backup can't be created because backup storage location {name} is currently in read-only mode")
    if not available(location):
        errors.append(
            f"backup can't be created because BackupStorageLocation {name} is in Unavailable status. "
            "please create a new backup after the BSL becomes available"
        )
    return errors


def _filter_errors(spec: Object, policy: FilterPolicy) -> list[str]:
    errors = []
    old = uses(spec, OLD_FIELDS)
    if old and (uses(spec, NEW_FIELDS) or policy.filters or policy.include_exclude):
        errors.append(_MIXED)
    lists = {
        "resource": ("includedResources", "excludedResources"),
        "cluster-scoped resource": ("includedClusterScopedResources", "excludedClusterScopedResources"),
        "namespace-scoped resource": ("includedNamespaceScopedResources", "excludedNamespaceScopedResources"),
        "namespace": ("includedNamespaces", "excludedNamespaces"),
    }
    for what, (included, excluded) in lists.items():
        names = NameFilter.of(spec.get(included), spec.get(excluded))
        found = names.errors(may_exclude_all="scoped" in what)
        errors += [f"Invalid included/excluded {what} lists: {problem}" for problem in found]
    if spec.get("labelSelector") and spec.get("orLabelSelectors"):
        errors.append("encountered labelSelector as well as orLabelSelectors in backup spec, only one can be specified")
    try:
        parse_duration(spec.get("ttl"), timedelta())
    except ValueError as error:
        errors.append(f"invalid ttl: {error}")
    return errors
