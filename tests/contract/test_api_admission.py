"""Admission webhooks: a cluster has them, they stand in the way of backups and restores, and some are dead."""

import asyncio
import base64
from pathlib import Path
from typing import Any

import pytest

from app.kubernetes.errors import KubernetesError, KubernetesForbidden
from app.kubernetes.resources import CONFIG_MAPS, NAMESPACES, SECRETS, SERVICES, VALIDATING_WEBHOOKS
from tests.contract.api import SECONDS, Object, config_map, make, refusal, send
from tests.contract.webhooks import NAME, certificate, configured, webhook
from tests.contract.world import Answer, World

NOBODY = {"url": "https://127.0.0.1:1/"}
DENIED: Object = {"allowed": False, "status": {"code": 403, "message": "not on my watch"}}


async def answered(world: World, namespace: str, *, status: int, query: str = "?dryRun=All") -> Answer:
    """Ask until the API server has taken a new configuration to heart, for which the real one needs a moment."""
    async with asyncio.timeout(SECONDS):
        while True:
            answer = await send(world, "POST", CONFIG_MAPS.path(namespace) + query, config_map("asked", key="value"))
            if answer.status == status:
                return answer
            await asyncio.sleep(0.05)


async def test_a_dead_webhook_stands_in_the_way(world: World, namespace: str) -> None:
    """500 that names it: such an error stays, so the service does not try again but tells whose webhook it is."""
    async with configured(world, namespace, NOBODY):
        answer = await answered(world, namespace, status=500)
        assert answer.json["reason"] == "InternalError"
        assert f'failed calling webhook "{NAME}"' in answer.json["message"]
        with pytest.raises(KubernetesError, match=NAME):
            await make(world, namespace, "one")


async def test_a_dead_webhook_that_may_be_ignored(world: World, namespace: str, tmp_path: Path) -> None:
    """With failurePolicy Ignore the request goes through, so the preflight does not name it."""
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = DENIED
        await answered(world, namespace, status=403)
        patch = {"webhooks": [{"name": NAME, "failurePolicy": "Ignore", "clientConfig": NOBODY}]}
        path = VALIDATING_WEBHOOKS.path(None, namespace)
        await send(world, "PATCH", path, patch, "application/strategic-merge-patch+json")
        await answered(world, namespace, status=201)


async def test_a_webhook_behind_no_service(world: World, namespace: str) -> None:
    """The message tells a Service that is not there from one without pods: restored configurations meet both."""
    service = {"service": {"namespace": namespace, "name": "none"}}
    async with configured(world, namespace, service):
        answer = await answered(world, namespace, status=500)
    assert 'service "none" not found' in answer.json["message"]


async def test_a_webhook_behind_a_service_without_pods(world: World, namespace: str) -> None:
    """So webhook configurations are restored last, once their Service has a ready endpoint."""
    body = {"metadata": {"name": "empty"}, "spec": {"selector": {"no": "pod"}, "ports": [{"port": 443}]}}
    await world.kube.create(SERVICES, body, namespace)
    async with configured(world, namespace, {"service": {"namespace": namespace, "name": "empty"}}):
        answer = await answered(world, namespace, status=500)
    assert 'failed calling webhook "guard.example.com"' in answer.json["message"]


async def test_a_webhook_denies(world: World, namespace: str, tmp_path: Path) -> None:
    """403 with its name and its reason: a stop is refused before anything is done, naming the webhook."""
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = DENIED
        answer = await answered(world, namespace, status=403)
        assert answer.json["message"] == f'admission webhook "{NAME}" denied the request: not on my watch'
        with pytest.raises(KubernetesForbidden):
            await make(world, namespace, "one")


async def test_a_webhook_denies_in_its_own_words(world: World, namespace: str, tmp_path: Path) -> None:
    """The status it gives is the answer's."""
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = {"allowed": False, "status": {"code": 422, "reason": "Invalid", "message": "too blue"}}
        answer = await answered(world, namespace, status=422)
    assert "too blue" in answer.json["message"]


async def test_a_webhook_denies_without_a_word(world: World, namespace: str, tmp_path: Path) -> None:
    """400, since it gave no status of its own; still named, so the stop says whose refusal it was."""
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = {"allowed": False}
        answer = await answered(world, namespace, status=400)
    assert answer.json["message"] == f'admission webhook "{NAME}" denied the request without explanation'


async def test_a_dry_run_asks_webhooks(world: World, namespace: str, tmp_path: Path) -> None:
    """And tells them that it is one: so the preflight learns what would reject a Backup, and nothing is stored."""
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = DENIED
        await answered(world, namespace, status=403)
    assert hook.requests[-1]["dryRun"] is True
    assert await world.kube.find(CONFIG_MAPS, "asked", namespace) is None


async def test_what_a_webhook_is_told(world: World, namespace: str, tmp_path: Path) -> None:
    """The object as it will be, its type, who asks and what for."""
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = DENIED
        await answered(world, namespace, status=403)
    asked = hook.requests[-1]
    assert (asked["operation"], asked["name"], asked["namespace"]) == ("CREATE", "asked", namespace)
    assert asked["resource"] == {"group": "", "version": "v1", "resource": "configmaps"}
    assert asked["object"]["metadata"]["namespace"] == namespace
    assert asked["oldObject"] is None
    assert asked["userInfo"]["groups"]


async def test_a_mutating_webhook_changes_what_is_stored(world: World, namespace: str, tmp_path: Path) -> None:
    """What comes back from a create is not what was sent: comparisons are made with the backup's copy."""
    async with (
        webhook(world, tmp_path) as hook,
        configured(world, namespace, hook.client_config, mutating=True, reinvocationPolicy="Never"),
    ):
        hook.patch({"op": "add", "path": "/data/added", "value": "yes"})
        async with asyncio.timeout(SECONDS):
            while not hook.requests:
                await answered(world, namespace, status=201)
        [made] = await make(world, namespace, "one")
    assert made["data"] == {"key": "one", "added": "yes"}


async def test_other_namespaces_and_types_are_not_asked_about(world: World, namespace: str, tmp_path: Path) -> None:
    """Rules and selectors decide, as the preflight reads them."""
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = DENIED
        await answered(world, namespace, status=403)
        await world.kube.create(SECRETS, {"metadata": {"name": "one"}}, namespace)
        await make(world, "default", f"beside-{namespace}")
        await world.kube.delete(CONFIG_MAPS, f"beside-{namespace}", "default")
    assert {request["namespace"] for request in hook.requests} == {namespace}


async def test_an_object_selector_decides_too(world: World, namespace: str, tmp_path: Path) -> None:
    """By labels of the object: Velero's own mark on restored objects can be excluded so."""
    selector = {"matchExpressions": [{"key": "unwatched", "operator": "DoesNotExist"}]}
    async with (
        webhook(world, tmp_path) as hook,
        configured(world, namespace, hook.client_config, objectSelector=selector),
    ):
        hook.response = DENIED
        await answered(world, namespace, status=403)
        await make(world, namespace, "one", labels={"unwatched": "yes"})
    assert {request["name"] for request in hook.requests} == {"asked"}


async def test_a_deletion_is_asked_about(world: World, namespace: str, tmp_path: Path) -> None:
    """With the old object only; a denial keeps it."""
    await make(world, namespace, "one")
    async with webhook(world, tmp_path) as hook, configured(world, namespace, hook.client_config):
        hook.response = DENIED
        await answered(world, namespace, status=403)
        with pytest.raises(KubernetesForbidden):
            await world.kube.delete(CONFIG_MAPS, "one", namespace)
    assert hook.requests[-1]["operation"] == "DELETE"
    assert hook.requests[-1]["object"] is None
    assert hook.requests[-1]["oldObject"]["metadata"]["name"] == "one"


async def test_configurations_themselves_are_not_asked_about(world: World, namespace: str) -> None:
    """Else a dead webhook could never be removed."""
    rule = {"apiGroups": ["*"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
    async with configured(world, namespace, NOBODY, rules=[rule]):
        await answered(world, namespace, status=500)
        note = {"metadata": {"labels": {"still": "changeable"}}}
        changed = await world.kube.merge_patch(VALIDATING_WEBHOOKS, namespace, note)
    assert changed["metadata"]["labels"] == note["metadata"]["labels"]


async def test_a_webhook_with_another_certificate_is_not_believed(world: World, namespace: str, tmp_path: Path) -> None:
    """A restored configuration with the authority of an earlier cluster fails, so caBundles are compared apart."""
    (tmp_path / "other").mkdir()
    async with webhook(world, tmp_path) as hook:
        stranger = certificate(tmp_path / "other", "127.0.0.1")
        config = hook.client_config | {"caBundle": base64.b64encode(stranger).decode()}
        async with configured(world, namespace, config):
            answer = await answered(world, namespace, status=500)
    assert f'failed calling webhook "{NAME}"' in answer.json["message"]
    assert hook.requests == []


async def test_a_webhook_gets_its_defaults(world: World, namespace: str) -> None:
    """A configuration that says little is read as one that must be answered."""
    async with configured(world, namespace, NOBODY) as made:
        [hook] = made["webhooks"]
    assert (hook["failurePolicy"], hook["matchPolicy"], hook["objectSelector"]) == ("Fail", "Equivalent", {})
    assert hook["rules"][0]["scope"] == "*"


BROKEN: dict[str, Object] = {
    "plain http": {"clientConfig": {"url": "http://127.0.0.1:1/"}},
    "nowhere": {"clientConfig": {}},
    "unknown side effects": {"sideEffects": "Unknown"},
    "no version": {"admissionReviewVersions": []},
    "too long": {"timeoutSeconds": 31},
    "an unknown policy": {"failurePolicy": "Perhaps"},
    "an unqualified name": {"name": "guard"},
}


@pytest.mark.parametrize("flaw", BROKEN)
async def test_a_broken_configuration_is_refused(world: World, namespace: str, flaw: str) -> None:
    """422: what a backup holds is at least well-formed."""
    hook: dict[str, Any] = {"name": NAME, "clientConfig": NOBODY, "sideEffects": "None"}
    hook |= {"admissionReviewVersions": ["v1"], "rules": []} | BROKEN[flaw]
    body = {"metadata": {"name": namespace}, "webhooks": [hook]}
    assert (await refusal(world, "POST", VALIDATING_WEBHOOKS.path(), body))[:2] == (422, "Invalid")


async def test_a_namespace_is_selected_by_its_own_labels(world: World, namespace: str, tmp_path: Path) -> None:
    """A webhook that guards one namespace does not see others being made."""
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps", "namespaces"]}
    async with (
        webhook(world, tmp_path) as hook,
        configured(world, namespace, hook.client_config, rules=[rule]),
    ):
        hook.response = DENIED
        await answered(world, namespace, status=403)
        with pytest.raises(KubernetesForbidden):
            await world.kube.merge_patch(NAMESPACES, namespace, {"metadata": {"labels": {"a": "b"}}})
        await world.kube.merge_patch(NAMESPACES, "default", {"metadata": {"labels": {namespace: None}}})
    assert {request["name"] for request in hook.requests} == {"asked", namespace}
