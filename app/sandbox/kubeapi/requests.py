"""What a request asks for: the address, the query and the body, each checked before anything happens."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import yaml
from aiohttp import web

from app.sandbox.kubeapi import protobuf
from app.sandbox.kubeapi.deleting import DeleteOptions
from app.sandbox.kubeapi.failures import Failure, Flaw, bad_request, invalid, unsupported_media_type
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, mapping
from app.sandbox.kubeapi.reading import Form, Selection
from app.sandbox.kubeapi.registry import Registry
from app.sandbox.kubeapi.selectors import field_selector, label_selector
from app.sandbox.kubeapi.watching import WatchOptions
from app.sandbox.kubeapi.writing import WriteOptions

_JSON = frozenset({"application/json", "application/octet-stream", ""})
_YAML = frozenset({"application/yaml", "text/yaml", "application/apply-patch+yaml"})


class Target(NamedTuple):
    """The address of objects; ``namespace`` is None where the address names none."""

    kind: Kind
    namespace: str | None
    name: str
    subresource: str
    rest: str = ""


def target(registry: Registry, path: str) -> Target | None:
    """None when nothing is served there."""
    parts = path.strip("/").split("/")
    if parts[0] == "api" and len(parts) >= 3:
        group, version, parts = "", parts[1], parts[2:]
    elif parts[0] == "apis" and len(parts) >= 4:
        group, version, parts = parts[1], parts[2], parts[3:]
    else:
        return None
    namespace: str | None = None
    if parts[0] == "namespaces" and len(parts) >= 3 and registry.find(group, version, parts[2]):
        namespace, parts = parts[1], parts[2:]
    kind = registry.find(group, version, parts[0])
    if kind is None or (len(parts) > 3 and parts[2] != "proxy"):
        return None
    if kind.namespaced == (namespace is None) and (len(parts) > 1 or namespace is not None):
        return None
    name, subresource = (*parts[1:3], "", "")[:2]
    return Target(kind, namespace, name, subresource, "/".join(parts[3:]))


def flag(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in {"true", "1"}


def number(query: Mapping[str, str], name: str) -> int | None:
    value = query.get(name, "")
    if not value:
        return None
    try:
        parsed = int(value)
    except ValueError as error:
        raise bad_request(f'{name}: Invalid value: "{value}": must be a number') from error
    if parsed < 0:
        raise bad_request(f"{name}: Invalid value: {parsed}: must not be negative")
    return parsed


def selection(query: Mapping[str, str], found: Target) -> Selection:
    """A name in the address of a watch narrows it like a field selector."""
    fields = query.get("fieldSelector", "")
    if found.name:
        fields = ",".join(filter(None, (fields, f"metadata.name={found.name}")))
    namespace = found.namespace if found.kind.namespaced else None
    return Selection(namespace, label_selector(query.get("labelSelector", "")), field_selector(fields, found.kind))


def check_version(query: Mapping[str, str], newest: int) -> None:
    """Of a list: any version of the past is good enough; raises the 504 for one that is not there yet."""
    wanted = number(query, "resourceVersion") or 0
    if wanted > newest:
        message = f"Timeout: Too large resource version: {wanted}, current: {newest}"
        causes = [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}]
        raise Failure(504, "Timeout", message, {"causes": causes, "retryAfterSeconds": 1})


def write_options(request: web.Request) -> WriteOptions:
    manager = request.query.get("fieldManager") or request.headers.get("User-Agent", "").partition("/")[0] or "unknown"
    return WriteOptions(
        dry_run=_dry_run(request.query.get("dryRun")),
        manager=manager,
        force=flag(request.query, "force"),
        patching=request.method == "PATCH",
        strict=request.query.get("fieldValidation") == "Strict",
    )


def watch_options(query: Mapping[str, str], form: Form) -> WatchOptions:
    if "sendInitialEvents" in query and query.get("resourceVersionMatch") != "NotOlderThan":
        why = "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        raise invalid("ListOptions", "meta.k8s.io", "", [Flaw.forbidden("resourceVersionMatch", why)])
    return WatchOptions(
        resource_version=number(query, "resourceVersion") or 0,
        seconds=number(query, "timeoutSeconds"),
        bookmarks=flag(query, "allowWatchBookmarks"),
        initial_events=flag(query, "sendInitialEvents"),
        form=form,
    )


def delete_options(query: Mapping[str, str], body: Object) -> DeleteOptions:
    """From the body, and from the query where the body is silent."""
    grace = body.get("gracePeriodSeconds")
    if grace is None:
        grace = number(query, "gracePeriodSeconds")
    elif not isinstance(grace, int):
        raise bad_request("gracePeriodSeconds: expected a number")
    propagation = body.get("propagationPolicy") or query.get("propagationPolicy") or "Background"
    if propagation not in {"Background", "Foreground", "Orphan"}:
        raise Failure(422, "Invalid", f'propagationPolicy: Unsupported value: "{propagation}"')
    preconditions = mapping(body, "preconditions")
    dry_run = body.get("dryRun") or query.get("dryRun")
    return DeleteOptions(
        dry_run=_dry_run(dry_run[0] if isinstance(dry_run, list) else dry_run),
        grace_seconds=grace,
        uid=str(preconditions.get("uid") or ""),
        resource_version=str(preconditions.get("resourceVersion") or ""),
        orphan=propagation == "Orphan" or body.get("orphanDependents") is True,
        foreground=propagation == "Foreground",
    )


def _dry_run(value: Any) -> bool:
    if value is None or value == "":
        return False
    if value != "All":
        raise Failure(422, "Invalid", f'dryRun: Unsupported value: "{value}": supported values: "All"')
    return True


async def body_of(request: web.Request) -> Any:
    """The parsed body; 400 for what cannot be read, 415 for another form than these."""
    content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    raw = await request.read()
    try:
        if content_type == protobuf.MEDIA:
            # Aside: the first one loads the models, which takes half a second.
            return await asyncio.to_thread(protobuf.decode, raw)
        if content_type in _YAML:
            return yaml.safe_load(raw)
        if content_type in _JSON or content_type.endswith("+json"):
            return json.loads(raw)
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        raise bad_request(f"the object provided is unrecognized: {error}") from error
    raise unsupported_media_type(content_type)


async def object_of(request: web.Request) -> Object:
    body = await body_of(request)
    if not isinstance(body, dict):
        raise bad_request("the object provided is unrecognized: expected an object")
    return body


def form_of(request: web.Request) -> Form:
    """The first form in Accept that can be given; 406 when there is none."""
    for wish in request.headers.get("Accept", "*/*").split(","):
        media, *parameters = (part.strip() for part in wish.split(";"))
        asked = dict(parameter.partition("=")[::2] for parameter in parameters)
        sort = asked.get("as", "")
        if media == "application/json" and sort in {"PartialObjectMetadata", "PartialObjectMetadataList"}:
            return Form("partial")
        if media == "application/json" and sort == "Table" and asked.get("v") == "v1":
            return Form("table", request.query.get("includeObject", ""))
        if media in {"application/json", "*/*", "application/*", ""} and not sort:
            return Form()
    message = "only the following media types are accepted: application/json"
    raise Failure(406, "NotAcceptable", message)
