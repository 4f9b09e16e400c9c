"""Admission webhooks, called as the real server calls them; what cannot be reached fails by its failurePolicy."""

import base64
import binascii
import json
import ssl
import uuid
from typing import Any

import aiohttp

from app.sandbox.kubeapi.failures import Failure, internal_error
from app.sandbox.kubeapi.kinds import Kind
from app.sandbox.kubeapi.objects import Object, entries, mapping
from app.sandbox.kubeapi.patches import json_patch
from app.sandbox.kubeapi.selectors import matches_selector_object
from app.sandbox.kubeapi.store import Key, Store

_GROUP = "admissionregistration.k8s.io"
_MUTATING = f"mutatingwebhookconfigurations.{_GROUP}"
_VALIDATING = f"validatingwebhookconfigurations.{_GROUP}"


class _Unreachable(Exception):
    """A call that got no usable answer."""


class Webhooks:
    """Configurations are read from the store at every request; those of the admission group are never intercepted."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def mutate(
        self, kind: Kind, operation: str, obj: Object, old: Object | None, *, dry_run: bool, subresource: str
    ) -> Object:
        for webhook in self._matching(_MUTATING, kind, operation, subresource, obj):
            review = _review(kind, operation, obj, old, dry_run=dry_run, subresource=subresource)
            answer = await self._call(webhook, review)
            if answer is not None and answer.get("patch"):
                obj = _patched(webhook, obj, answer["patch"])
        return obj

    async def validate(
        self, kind: Kind, operation: str, obj: Object | None, old: Object | None, *, dry_run: bool, subresource: str
    ) -> None:
        for webhook in self._matching(_VALIDATING, kind, operation, subresource, obj or old or {}):
            await self._call(webhook, _review(kind, operation, obj, old, dry_run=dry_run, subresource=subresource))

    def _matching(self, storage: str, kind: Kind, operation: str, subresource: str, obj: Object) -> list[Object]:
        if kind.group == _GROUP:
            return []
        return [
            webhook
            for configuration in self._store.records(storage)
            for webhook in entries(configuration.obj, "webhooks")
            if isinstance(webhook, dict)
            and any(_rule_holds(rule, kind, operation, subresource) for rule in entries(webhook, "rules"))
            and self._selected(webhook, kind, obj)
        ]

    def _selected(self, webhook: Object, kind: Kind, obj: Object) -> bool:
        metadata = mapping(obj, "metadata")
        if not matches_selector_object(mapping(webhook, "objectSelector"), mapping(metadata, "labels")):
            return False
        selector = mapping(webhook, "namespaceSelector")
        if kind.resource == "namespaces":
            return matches_selector_object(selector, mapping(metadata, "labels"))
        if not kind.namespaced:
            return True
        namespace = self._store.get(Key("namespaces", "", str(metadata.get("namespace", ""))))
        return matches_selector_object(selector, mapping(namespace.metadata, "labels") if namespace else {})

    async def _call(self, webhook: Object, review: Object) -> Object | None:
        """The response of a webhook that allowed the request, None when it was skipped; Failure when it refused."""
        name = str(webhook.get("name", ""))
        try:
            response = await self._post(webhook, review)
        except _Unreachable as error:
            if webhook.get("failurePolicy", "Fail") == "Ignore":
                return None
            raise internal_error(f'failed calling webhook "{name}": {error}') from error
        if response.get("allowed") is True:
            return response
        status = mapping(response, "status")
        message = status.get("message") or status.get("reason") or ""
        said = f'admission webhook "{name}" denied the request'
        said += f": {message}" if message else " without explanation"
        code = status.get("code")
        code = code if isinstance(code, int) and 400 <= code < 600 else 400
        reason = str(status.get("reason") or {403: "Forbidden", 400: "BadRequest"}.get(code, ""))
        raise Failure(code, reason, said)

    async def _post(self, webhook: Object, review: Object) -> Object:
        config, seconds = mapping(webhook, "clientConfig"), int(webhook.get("timeoutSeconds") or 10)
        url = config.get("url")
        if not url:
            raise _Unreachable(self._service_problem(mapping(config, "service"), seconds))
        timeout = aiohttp.ClientTimeout(total=seconds)
        shown = f'failed to call webhook: Post "{url}?timeout={seconds}s"'
        try:
            trusted = ssl.create_default_context(cadata=_ca_of(config))
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.post(str(url), json=review, params={"timeout": f"{seconds}s"}, ssl=trusted) as response,
            ):
                if response.status != 200:
                    raise _Unreachable(f"{shown}: the server answered with status {response.status}")
                answer = await response.json(content_type=None)
        except TimeoutError as error:
            raise _Unreachable(f"{shown}: context deadline exceeded") from error
        except (aiohttp.ClientError, ssl.SSLError, ValueError) as error:
            raise _Unreachable(f"{shown}: {error}") from error
        found = answer.get("response") if isinstance(answer, dict) else None
        if not isinstance(found, dict) or found.get("uid") != review["request"]["uid"]:
            raise _Unreachable(f"{shown}: webhook response is not an AdmissionReview for this request")
        return found

    def _service_problem(self, service: Object, seconds: int) -> str:
        """A Service is never dialled from here; the wording tells a missing one from a silent one."""
        name, namespace = service.get("name", ""), service.get("namespace", "")
        path, port = service.get("path") or "", service.get("port") or 443
        shown = f'failed to call webhook: Post "https://{name}.{namespace}.svc:{port}{path}?timeout={seconds}s"'
        if self._store.get(Key("services", str(namespace), str(name))) is None:
            return f'{shown}: service "{name}" not found'
        return f'{shown}: no endpoints available for service "{name}"'


def _ca_of(config: Object) -> str | None:
    """The authority a webhook's certificate must be of; None for those this machine trusts."""
    bundle = base64.b64decode(str(config.get("caBundle") or ""))
    return bundle.decode("ascii") or None


def _rule_holds(rule: Any, kind: Kind, operation: str, subresource: str) -> bool:
    if not isinstance(rule, dict):
        return False
    resources = entries(rule, "resources")
    if subresource:
        wanted = {f"{kind.plural}/{subresource}", f"{kind.plural}/*", f"*/{subresource}", "*/*"}
    else:
        wanted = {kind.plural, "*", "*/*"}
    scope = rule.get("scope") or "*"
    return (
        not wanted.isdisjoint(resources)
        and not {operation, "*"}.isdisjoint(entries(rule, "operations"))
        and not {kind.group, "*"}.isdisjoint(entries(rule, "apiGroups"))
        and not {kind.version, "*"}.isdisjoint(entries(rule, "apiVersions"))
        and scope in {"*", "Namespaced" if kind.namespaced else "Cluster"}
    )


def _review(
    kind: Kind, operation: str, obj: Object | None, old: Object | None, *, dry_run: bool, subresource: str
) -> Object:
    metadata = mapping(obj or old or {}, "metadata")
    request: Object = {
        "uid": str(uuid.uuid4()),
        "kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "resource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
        "requestKind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
        "requestResource": {"group": kind.group, "version": kind.version, "resource": kind.plural},
        "name": metadata.get("name", ""),
        "operation": operation,
        "userInfo": {"username": "system:admin", "groups": ["system:masters", "system:authenticated"]},
        "object": obj,
        "oldObject": old,
        "dryRun": dry_run,
        "options": None,
    }
    if kind.namespaced:
        request["namespace"] = metadata.get("namespace", "")
    if subresource:
        request["subResource"] = subresource
    return {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": request}


def _patched(webhook: Object, obj: Object, patch: Any) -> Object:
    try:
        operations = json.loads(base64.b64decode(patch, validate=True))
        return json_patch(obj, operations)
    except (ValueError, TypeError, binascii.Error, Failure) as error:
        raise internal_error(
            f'webhook "{webhook.get("name")}" returned a patch that does not apply: {error}'
        ) from error
