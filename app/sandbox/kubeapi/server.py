"""The HTTP face: authentication, routes, and one handler per verb."""

import hmac
import logging
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from aiohttp import web

from app.sandbox.faults import Rules
from app.sandbox.kubeapi import event_forms, pods, reviews
from app.sandbox.kubeapi.aggregation import refuse_remote, remote_groups
from app.sandbox.kubeapi.broken import broken, rule_for
from app.sandbox.kubeapi.deleting import Deleter, deleted_status
from app.sandbox.kubeapi.failures import (
    Failure,
    bad_request,
    internal_error,
    method_not_allowed,
    no_such_path,
    not_found,
    too_many_requests,
    unauthorized,
    unsupported_media_type,
)
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, encode, mapping
from app.sandbox.kubeapi.openapi import OpenApi
from app.sandbox.kubeapi.patches import json_patch, merge_patch, strategic_merge_patch
from app.sandbox.kubeapi.reading import Form, list_text, written
from app.sandbox.kubeapi.registry import Registry
from app.sandbox.kubeapi.requests import (
    Target,
    body_of,
    check_version,
    delete_options,
    flag,
    form_of,
    number,
    object_of,
    selection,
    target,
    watch_options,
    write_options,
)
from app.sandbox.kubeapi.scale import patched_scale, scale_of, with_scale
from app.sandbox.kubeapi.store import Key, Record, Store
from app.sandbox.kubeapi.watching import Watches
from app.sandbox.kubeapi.writing import Writer

VERSION = {
    "major": "1", "minor": "34", "gitVersion": "v1.34.4", "gitCommit": "0" * 40, "gitTreeState": "clean",
    "buildDate": "2026-01-01T00:00:00Z", "goVersion": "go1.24.0", "compiler": "gc", "platform": "linux/amd64",
}  # fmt: skip
_APPLY = "application/apply-patch+yaml"
_PATCHES: dict[str, Callable[[Object, Any], Any]] = {
    "application/merge-patch+json": merge_patch,
    "application/json-patch+json": json_patch,
    "application/strategic-merge-patch+json": strategic_merge_patch,
}
_Handlers = Mapping[str, Callable[[web.Request, Target], Awaitable[web.StreamResponse]]]
_MOST_BYTES = 3 * 1024 * 1024
_HEALTH = frozenset({"readyz", "livez", "healthz"})
log = logging.getLogger(__name__)


class ApiServer:
    """Routes by itself: what is served changes with the definitions in the store."""

    def __init__(
        self, store: Store, registry: Registry, writer: Writer, deleter: Deleter, watches: Watches, token: str
    ) -> None:
        self._store = store
        self._registry = registry
        self._writer = writer
        self._deleter = deleter
        self._watches = watches
        self._openapi = OpenApi(registry)
        self._authorization = f"Bearer {token}".encode()

    def application(self, faults: Rules) -> web.Application:
        application = web.Application(client_max_size=_MOST_BYTES)
        application.router.add_route("*", "/{path:.*}", partial(self._answer, faults))
        return application

    async def _answer(self, faults: Rules, request: web.Request) -> web.StreamResponse:
        try:
            fault = rule_for(faults, request)
            return await (broken(fault, request, self._dispatch) if fault else self._dispatch(request))
        except Failure as failure:
            answer = _json(encode(failure.status()), failure.code)
            if failure.code == 429:
                answer.headers["Retry-After"] = "1"
            return answer
        except web.HTTPRequestEntityTooLarge:
            return _json(encode(Failure(413, "RequestEntityTooLarge", "Request entity too large").status()), 413)
        except Exception as error:
            log.exception("%s %s", request.method, request.path)
            return _json(encode(internal_error(type(error).__name__).status()), 500)

    async def _dispatch(self, request: web.Request) -> web.StreamResponse:
        path = request.path.strip("/")
        given = request.headers.get("Authorization", "").encode(errors="replace")
        if not hmac.compare_digest(given, self._authorization):
            raise unauthorized()
        if path.partition("/")[0] in _HEALTH:
            return web.Response(text="ok")
        refuse_remote(self._store, path)
        found = target(self._registry, path)
        if found is None:
            return await self._document(request, path)
        if request.method == "GET" and self._registry.initializing(found.kind):
            raise too_many_requests("storage is (re)initializing")
        if found.subresource:
            return await self._subresource(request, found)
        handlers: _Handlers
        if found.kind.review:
            handlers = {"POST": self._review} if not found.name else {}
        elif found.name:
            handlers = {"GET": self._get, "PUT": self._put, "PATCH": self._patch, "DELETE": self._delete}
        else:
            handlers = {"GET": self._list, "POST": self._create, "DELETE": self._delete_collection}
        handler = handlers.get(request.method)
        if handler is None or (found.namespace is None and found.kind.namespaced and request.method != "GET"):
            raise method_not_allowed()
        return await handler(request, found)

    async def _document(self, request: web.Request, path: str) -> web.Response:
        """What the server says of itself: its version, its kinds, their schemas."""
        parts = path.split("/")
        schemas = parts[:2] == ["openapi", "v3"]
        document = await self._openapi.document("/".join(parts[2:])) if schemas else self._discovery(parts)
        if document is None:
            if path.startswith("api/v1/") or (parts[0] == "apis" and self._registry.group("".join(parts[1:2]))):
                raise no_such_path()
            return web.Response(text="404 page not found\n", status=404)
        if request.method not in {"GET", "HEAD"}:
            raise method_not_allowed()
        return _json(encode(document))

    def _discovery(self, parts: list[str]) -> Object | None:  # noqa: PLR0911 - a table of paths
        match parts:
            case ["version"]:
                return VERSION
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                return self._registry.group_list(remote_groups(self._store))
            case ["api", version]:
                return self._registry.resource_list("", version)
            case ["apis", group]:
                return self._registry.group(group)
            case ["apis", group, version]:
                return self._registry.resource_list(group, version)
        return None

    async def _review(self, request: web.Request, found: Target) -> web.StreamResponse:
        return _json(encode(reviews.answered(found.kind, await object_of(request))), 201)

    async def _get(self, request: web.Request, found: Target) -> web.StreamResponse:
        form = form_of(request)
        if flag(request.query, "watch"):
            return await self._watch(request, found, form)
        return _json(written(found.kind, self._record(found), form))

    async def _list(self, request: web.Request, found: Target) -> web.StreamResponse:
        form = form_of(request)
        if flag(request.query, "watch"):
            return await self._watch(request, found, form)
        token = request.query.get("continue", "")
        limit = number(request.query, "limit") or 0
        chosen = selection(request.query, found)
        check_version(request.query, self._store.version)
        return _json(list_text(self._store, found.kind, chosen, limit=limit, token=token, form=form))

    async def _watch(self, request: web.Request, found: Target, form: Form) -> web.StreamResponse:
        options = watch_options(request.query, form)
        lines = self._watches.lines(found.kind, selection(request.query, found), options)
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        try:
            response.enable_chunked_encoding()
            await response.prepare(request)
            async for line in lines:
                await response.write(line.encode())
            await response.write_eof()
        except ConnectionError:
            log.debug("a watch of %s was left by its client", found.kind.resource)
        finally:
            await lines.aclose()
        return response

    async def _body(self, request: web.Request, found: Target) -> Object:
        """An object to be written; with ``fieldValidation=Strict`` it may have no field that its kind has not."""
        body = await object_of(request)
        if request.query.get("fieldValidation") == "Strict":
            await self._openapi.check_fields(found.kind, body)
        return body

    async def _create(self, request: web.Request, found: Target) -> web.StreamResponse:
        body = await self._body(request, found)
        if found.kind.resource == "events.events.k8s.io":
            body = event_forms.to_core(body)
        record = await self._writer.create(found.kind, found.namespace or "", body, write_options(request))
        return _json(written(found.kind, record), 201)

    async def _put(self, request: web.Request, found: Target) -> web.StreamResponse:
        body = await self._body(request, found)
        return await self._update(request, found, lambda _: body)

    async def _patch(self, request: web.Request, found: Target) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if content_type == _APPLY and not found.subresource:
            return await self._apply(request, found)
        return await self._update(request, found, await _change(request, found.kind, content_type))

    async def _apply(self, request: web.Request, found: Target) -> web.StreamResponse:
        if not request.query.get("fieldManager"):
            raise Failure(
                422,
                "Invalid",
                'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch',
            )
        record, created = await self._writer.apply(
            found.kind, _key(found), await self._body(request, found), write_options(request)
        )
        return _json(written(found.kind, record), 201 if created else 200)

    async def _update(
        self, request: web.Request, found: Target, change: Callable[[Object], Object]
    ) -> web.StreamResponse:
        record = await self._writer.update(
            found.kind, _key(found), change, write_options(request), subresource=found.subresource
        )
        return _json(written(found.kind, record))

    async def _delete(self, request: web.Request, found: Target) -> web.StreamResponse:
        body = await object_of(request) if request.can_read_body else {}
        record, gone = await self._deleter.delete(found.kind, _key(found), delete_options(request.query, body))
        if gone and found.kind.resource != "pods":
            return _json(encode(deleted_status(found.kind, record)))
        return _json(written(found.kind, record))

    async def _delete_collection(self, request: web.Request, found: Target) -> web.StreamResponse:
        if found.kind.resource == "namespaces":
            raise method_not_allowed()
        options = delete_options(request.query, await object_of(request) if request.can_read_body else {})
        chosen = selection(request.query, found)
        for record in self._store.records(found.kind.storage, chosen.namespace):
            if chosen.holds(record):
                try:
                    await self._deleter.delete(found.kind, record.key, options)
                except Failure as failure:
                    if failure.code != 404:
                        raise
        return _json(encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}))

    async def _subresource(self, request: web.Request, found: Target) -> web.StreamResponse:
        kind, method = found.kind, request.method
        if found.subresource == "status" and kind.has_status:
            handlers: _Handlers = {"GET": self._get, "PUT": self._put, "PATCH": self._patch}
        elif found.subresource == "scale" and kind.has_scale:
            handlers = {"GET": self._get_scale, "PUT": self._set_scale, "PATCH": self._set_scale}
        elif found.subresource == "finalize" and kind.resource == "namespaces":
            handlers = {"PUT": self._put}
        elif kind.resource == "pods":
            handlers = {
                "log": {"GET": self._log},
                "portforward": {"GET": self._port_forward},
                "eviction": {"POST": self._evict},
                "binding": {"POST": self._bind},
            }.get(found.subresource, {})
        else:
            handlers = {}
        if not handlers:
            raise no_such_path()
        if method not in handlers:
            raise method_not_allowed()
        return await handlers[method](request, found)

    async def _get_scale(self, _: web.Request, found: Target) -> web.StreamResponse:
        return _json(encode(scale_of(found.kind, self._record(found).obj)))

    async def _set_scale(self, request: web.Request, found: Target) -> web.StreamResponse:
        content_type = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        body = await body_of(request)
        patch = _PATCHES.get(content_type) if request.method == "PATCH" else None
        if request.method == "PATCH" and patch is None:
            raise unsupported_media_type(content_type)

        def change(obj: Object) -> Object:
            scale = scale_of(found.kind, obj)
            return with_scale(obj, patched_scale(scale, patch(scale, body) if patch else body))

        record = await self._writer.update(found.kind, _key(found), change, write_options(request))
        return _json(encode(scale_of(found.kind, record.obj)))

    async def _log(self, request: web.Request, found: Target) -> web.StreamResponse:
        return await pods.log_text(self._store, self._record(found), request)

    async def _port_forward(self, request: web.Request, found: Target) -> web.StreamResponse:
        return await pods.port_forward(self._store, self._record(found), request)

    async def _evict(self, request: web.Request, found: Target) -> web.StreamResponse:
        body = await object_of(request)
        options = delete_options(request.query, mapping(body, "deleteOptions"))
        await self._deleter.delete(found.kind, _key(found), options)
        return _json(encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}), 201)

    async def _bind(self, request: web.Request, found: Target) -> web.StreamResponse:
        node = mapping(await object_of(request), "target").get("name")
        if not isinstance(node, str) or not node:
            raise bad_request("target.name: Required value")

        def change(pod: Object) -> Object:
            return {**pod, "spec": {**mapping(pod, "spec"), "nodeName": node}}

        await self._writer.update(found.kind, _key(found), change, write_options(request))
        return _json(encode({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}), 201)

    def _record(self, found: Target) -> Record:
        record = self._store.get(_key(found))
        if record is None:
            raise not_found(found.kind.resource, found.name)
        return record


async def _change(request: web.Request, kind: Kind, content_type: str) -> Callable[[Object], Object]:
    patch = _PATCHES.get(content_type)
    if patch is None or (patch is strategic_merge_patch and kind.custom):
        raise unsupported_media_type(content_type)
    body = await body_of(request) if patch is json_patch else await object_of(request)
    return partial(_patched, patch, body)


def _patched(patch: Callable[[Object, Any], Any], body: Any, obj: Object) -> Object:
    result: Object = patch(obj, body)
    return result


def _key(found: Target) -> Key:
    return Key(found.kind.storage, found.namespace or "", found.name)


def _json(text: str, status: int = 200) -> web.Response:
    return web.Response(body=text.encode(), status=status, content_type="application/json")
