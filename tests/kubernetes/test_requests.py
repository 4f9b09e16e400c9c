"""Single requests: what goes over the wire, and what each answer, or none, becomes."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from app.errors import ServiceError, TemporaryError
from app.kubernetes.client import KubeClient
from app.kubernetes.errors import (
    KubernetesAlreadyExists,
    KubernetesConflict,
    KubernetesError,
    KubernetesExpired,
    KubernetesForbidden,
    KubernetesNotFound,
    KubernetesUnauthorized,
    KubernetesUnavailable,
    KubernetesUntrusted,
)
from app.kubernetes.resources import CONFIG_MAPS, NAMESPACES
from app.ports import ClusterAccess
from tests.kubernetes.conftest import HASTY, Playing
from tests.kubernetes.scripted import config_map, kubeconfig, page, plays, silence, status, streams
from tests.sandbox.api_server import RunningApi

A1, B1, C1 = (config_map(name, 1) for name in "abc")


@pytest.mark.parametrize(
    ("send", "content_type", "query"),
    [
        (
            lambda kube: kube.merge_patch(CONFIG_MAPS, "a", {"data": None}, "default"),
            "application/merge-patch+json",
            {"fieldManager": "kecs-state"},
        ),
        (
            lambda kube: kube.apply(CONFIG_MAPS, A1),
            "application/apply-patch+yaml",
            {"fieldManager": "kecs-state", "force": "true"},
        ),
    ],
    ids=["merge patch", "server-side apply"],
)
async def test_a_patch_says_what_kind_it_is(
    playing: Playing, send: Callable[[KubeClient], Awaitable[Any]], content_type: str, query: dict[str, str]
) -> None:
    """The library's default for a dictionary, a JSON patch, would be refused."""
    async with playing(PATCH=[plays(A1)]) as (server, kube):
        await send(kube)
        (request,) = server.requests
        assert (request.headers["Content-Type"], dict(request.query)) == (content_type, query)
        assert isinstance(json.loads(server.bodies[0]), dict)
        assert request.headers["Authorization"] == "Bearer s3cret-token"


async def test_patches_do_on_a_real_server_what_their_names_say(kube: KubeClient, namespace: str) -> None:
    """A merge patch removes what is null; an apply removes what it no longer names."""
    wanted = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a", "namespace": namespace}}
    await kube.apply(CONFIG_MAPS, wanted | {"data": {"x": "1", "y": "2"}})
    assert (await kube.apply(CONFIG_MAPS, wanted | {"data": {"x": "1"}}))["data"] == {"x": "1"}
    patched = await kube.merge_patch(CONFIG_MAPS, "a", {"data": {"x": None, "z": "3"}}, namespace)
    assert patched["data"] == {"z": "3"}


async def test_a_stale_version_is_a_conflict_and_says_what_to_do(kube: KubeClient, namespace: str) -> None:
    """Somebody else was first."""
    before = await kube.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace)
    stale = {"metadata": {"resourceVersion": before["metadata"]["resourceVersion"]}, "data": {"k": "mine"}}
    await kube.merge_patch(CONFIG_MAPS, "a", {"data": {"k": "theirs"}}, namespace)
    with pytest.raises(KubernetesConflict) as caught:
        await kube.merge_patch(CONFIG_MAPS, "a", stale, namespace)
    assert caught.value.remedy
    assert (await kube.get(CONFIG_MAPS, "a", namespace))["data"] == {"k": "theirs"}


async def test_a_second_of_the_same_name_exists_already(kube: KubeClient, namespace: str) -> None:
    """409 as well, but nothing to try again."""
    await kube.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace)
    with pytest.raises(KubernetesAlreadyExists):
        await kube.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace)


async def test_a_dry_run_stores_nothing(kube: KubeClient, namespace: str) -> None:
    """Admission alone is asked."""
    await kube.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace, dry_run=True)
    assert await kube.find(CONFIG_MAPS, "a", namespace) is None


async def test_deleting_says_whether_there_was_something(kube: KubeClient, namespace: str) -> None:
    """Already gone is success."""
    await kube.create(CONFIG_MAPS, {"metadata": {"name": "a"}}, namespace)
    assert [await kube.delete(CONFIG_MAPS, "a", namespace) for _ in range(2)] == [True, False]


@pytest.mark.parametrize(
    ("answer", "expected", "has_remedy"),
    [
        (status(400, "BadRequest"), KubernetesError, False),
        (status(401, "Unauthorized"), KubernetesUnauthorized, True),
        (status(403, "Forbidden"), KubernetesForbidden, True),
        (status(404, "NotFound"), KubernetesNotFound, False),
        (status(409, "Conflict"), KubernetesConflict, True),
        (status(409, "AlreadyExists"), KubernetesAlreadyExists, False),
        (status(410, "Expired"), KubernetesExpired, True),
        (status(422, "Invalid"), KubernetesError, False),
        (status(500, "InternalError", 'failed calling webhook "w"'), KubernetesError, False),
        (status(500, "InternalError"), KubernetesUnavailable, False),
        (status(503), KubernetesUnavailable, False),
        (plays("<html>bad gateway</html>", 502), KubernetesUnavailable, False),
        (plays('"odd"', 404), KubernetesNotFound, False),
        (plays("<html>log in first</html>"), KubernetesUnavailable, False),
        (plays("[]"), KubernetesUnavailable, False),
    ],
    ids=[
        "bad request",
        "unauthorized",
        "forbidden",
        "not found",
        "conflict",
        "already exists",
        "expired",
        "invalid",
        "webhook",
        "internal",
        "unavailable",
        "proxy page",
        "odd body",
        "page with 200",
        "no object",
    ],
)
async def test_each_answer_becomes_an_error_of_its_own_kind(
    playing: Playing, answer: Any, expected: type[ServiceError], *, has_remedy: bool
) -> None:
    """None of them is tried again here: what may pass is a ``TemporaryError``, which its step tries again."""
    async with playing(list=[answer]) as (server, kube):
        with pytest.raises(ServiceError) as caught:
            await kube.get(CONFIG_MAPS, "a", "default")
        assert type(caught.value) is expected
        assert bool(caught.value.remedy) is has_remedy
        assert len(server.requests) == 1


async def test_a_long_message_is_cut(playing: Playing) -> None:
    """It may quote an object, a Secret even."""
    async with playing(list=[status(422, message="x" * 5000)]) as (_, kube):
        with pytest.raises(KubernetesError) as caught:
            await kube.get(CONFIG_MAPS, "a", "default")
        assert len(caught.value.detail) == 300


async def test_a_request_told_to_come_back_later_waits_as_long_as_it_was_told(playing: Playing) -> None:
    """429 says nothing was done, so even a create is safe to send again."""
    async with playing(POST=[status(429, Retry_After="1"), plays(A1, 201)]) as (server, kube):
        began = time.monotonic()
        assert await kube.create(CONFIG_MAPS, A1, "default") == A1
        assert 1.0 <= time.monotonic() - began < 2.5
        assert len(server.requests) == 2


@pytest.mark.parametrize("value", ["0", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "soon"])
async def test_an_unusable_retry_after_is_neither_a_crash_nor_a_hot_loop(playing: Playing, value: str) -> None:
    """A pause of ours takes its place."""
    async with playing(HASTY, list=[status(429, Retry_After=value), page(1)]) as (server, kube):
        began = time.monotonic()
        await kube.list(CONFIG_MAPS)
        assert time.monotonic() - began >= 0.1
        assert len(server.requests) == 2


async def test_a_fresh_type_is_asked_again_soon(playing: Playing) -> None:
    """It says Retry-After 1 and is there in tenths of a second; whole seconds would be most of a first wake."""
    answer = status(429, "TooManyRequests", "storage is (re)initializing", Retry_After="1")
    async with playing(list=[answer, page(1)]) as (_, kube):
        began = time.monotonic()
        await kube.list(CONFIG_MAPS)
        assert 0.1 <= time.monotonic() - began < 0.8


async def test_patience_with_a_busy_server_ends_as_something_temporary(playing: Playing) -> None:
    """The step is told how long the server wants to be left alone."""
    async with playing(list=[status(429, Retry_After="60")]) as (server, kube):
        with pytest.raises(TemporaryError) as caught:
            await kube.list(CONFIG_MAPS)
        assert caught.value.retry_after_seconds == 60
        assert len(server.requests) == 1


@pytest.mark.parametrize("answer", [silence, streams("{", then="stay")], ids=["no head", "half a body"])
async def test_a_silent_server_is_noticed_within_the_deadline(playing: Playing, answer: Any) -> None:
    """Half a second here, a minute in production; the library itself would wait for ever."""
    async with playing(list=[answer]) as (_, kube):
        with pytest.raises(KubernetesUnavailable, match="TimeoutError"):
            async with asyncio.timeout(2):
                await kube.get(CONFIG_MAPS, "a", "default")


async def test_a_server_that_never_finishes_its_handshake_is_noticed(pki: Path) -> None:
    """It accepts the connection, as a frozen container's proxy does, and TLS never begins."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        access = ClusterAccess(kubeconfig(url, (pki / "ca.crt").read_bytes()))
        async with await KubeClient.connect(access, HASTY) as kube, asyncio.timeout(3):
            with pytest.raises(KubernetesUnavailable):
                await kube.cluster_uid()
            assert not await kube.ready()


async def test_nobody_listening_is_temporary(pki: Path) -> None:
    """A cluster that is just starting looks like this."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    access = ClusterAccess(kubeconfig(f"https://127.0.0.1:{port}", (pki / "ca.crt").read_bytes()))
    async with await KubeClient.connect(access) as kube:
        with pytest.raises(KubernetesUnavailable, match="ClientConnectorError"):
            await kube.cluster_uid()


async def test_a_certificate_of_another_authority_is_permanent_and_gets_no_token(
    playing: Playing, api: RunningApi
) -> None:
    """The cluster was made anew behind the same port, or it is not ours; either way nothing is sent to it."""
    async with playing(list=[page(1)]) as (server, _):
        stranger = server.kubeconfig["clusters"][0]["cluster"]["server"]
        access = ClusterAccess(kubeconfig(stranger, api.ca_file.read_bytes()))
        async with await KubeClient.connect(access) as kube:
            with pytest.raises(KubernetesUntrusted, match="certificate") as caught:
                await kube.cluster_uid()
        assert "fresh kubeconfig" in caught.value.remedy
        assert server.requests == []


async def test_an_expired_token_is_permanent_and_says_what_to_do(api: RunningApi) -> None:
    """A real server answers 401 to a token that it no longer knows."""
    access = ClusterAccess(kubeconfig(api.url, api.ca_file.read_bytes(), token="expired"))
    async with await KubeClient.connect(access) as kube:
        with pytest.raises(KubernetesUnauthorized) as caught:
            await kube.cluster_uid()
        assert "fresh kubeconfig" in caught.value.remedy
        assert not isinstance(caught.value, TemporaryError)


async def test_a_list_is_read_page_by_page(playing: Playing) -> None:
    """Each asks for what follows the one before; the version is that of the whole."""
    async with playing(list=[page(7, A1, more="x"), page(7, B1, more="y"), page(7, C1)]) as (server, kube):
        listed = await kube.list(CONFIG_MAPS, label_selector="app=web", field_selector="metadata.name!=z")
        assert (listed.items, listed.resource_version) == ([A1, B1, C1], "7")
        assert [request.query.get("continue") for request in server.requests] == [None, "x", "y"]
        assert {request.query["labelSelector"] for request in server.requests} == {"app=web"}


async def test_a_list_is_asked_for_as_it_is(playing: Playing) -> None:
    """An API server packs what is long, which costs more than it saves on the way to a cluster of this host."""
    async with playing(list=[page(7, A1)]) as (server, kube):
        await kube.list(CONFIG_MAPS)
        (request,) = server.requests
        assert request.headers.getall("Accept-Encoding") == ["identity"]


async def test_a_page_that_has_expired_begins_the_list_again_at_once(playing: Playing) -> None:
    """What the first pages said is of a moment that nobody can complete any more."""
    script = [page(7, A1, more="x"), status(410, "Expired"), page(9, B1, C1)]
    async with playing(list=script) as (server, kube):
        listed = await kube.list(CONFIG_MAPS)
        assert (listed.items, listed.resource_version) == ([B1, C1], "9")
        assert not {"limit", "continue"} & server.requests[-1].query.keys()


async def test_a_list_of_metadata_has_nothing_else(kube: KubeClient, namespace: str) -> None:
    """A tenth of the bytes, and no Secret in memory."""
    await kube.create(CONFIG_MAPS, {"metadata": {"name": "a"}, "data": {"k": "v"}}, namespace)
    listed = await kube.list(CONFIG_MAPS, namespace, metadata_only=True)
    (found,) = [item for item in listed.items if item["metadata"]["name"] == "a"]
    assert "data" not in found
    assert found["metadata"]["uid"]


async def test_more_objects_than_a_page_holds_all_come(kube: KubeClient, namespace: str) -> None:
    """Of a real server, with its own continue tokens."""
    for begin in range(0, 520, 40):
        names = [f"cm-{number:04}" for number in range(begin, begin + 40)]
        await asyncio.gather(*(kube.create(CONFIG_MAPS, {"metadata": {"name": name}}, namespace) for name in names))
    listed = await kube.list(CONFIG_MAPS, namespace, field_selector="metadata.name!=kube-root-ca.crt")
    assert len({item["metadata"]["name"] for item in listed.items}) == len(listed.items) == 520


async def test_an_object_or_a_type_that_is_not_there_is_not_found(kube: KubeClient, namespace: str) -> None:
    """``find`` gives None for both, ``get`` raises."""
    assert await kube.find(CONFIG_MAPS, "never", namespace) is None
    with pytest.raises(KubernetesNotFound):
        await kube.get(CONFIG_MAPS, "never", namespace)


def _groups(*names: str) -> Any:
    return plays({"groups": [{"name": n, "preferredVersion": {"groupVersion": f"{n}/v1"}} for n in names]})


async def test_a_dead_api_service_is_named_and_the_rest_discovered(playing: Playing) -> None:
    """The API server itself says 503 for a group whose server is away."""
    async with playing(list=[_groups("dead.io"), _router({"/apis/dead.io/v1": status(503)})]) as (_, kube):
        found = await kube.discover()
        assert (found.failed_groups, [each.plural for each in found.resources]) == (["dead.io"], ["configmaps"])


@pytest.mark.parametrize("path", ["/api/v1", "/apis/apps/v1"])
async def test_a_connection_that_breaks_does_not_make_a_group_dead(playing: Playing, path: str) -> None:
    """A discovery without Deployments would make a backup without them look whole."""
    async with playing(list=[_groups("apps"), _router({path: silence})]) as (_, kube):
        with pytest.raises(KubernetesUnavailable):
            await kube.discover()


def _router(by_path: dict[str, Any]) -> Any:
    verbs = ["create", "delete", "get", "list"]
    types = [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": verbs}]
    types.append(types[0] | {"name": "configmaps/status"})

    async def answer(request: Any) -> Any:
        return await by_path.get(request.path, plays({"resources": types}))(request)

    return answer


async def test_a_server_is_ready_when_it_says_so(kube: KubeClient) -> None:
    """And its identity is the UID of kube-system."""
    assert await kube.ready()
    assert await kube.cluster_uid() == (await kube.get(NAMESPACES, "kube-system"))["metadata"]["uid"]
