"""What is refused, and how: the service tells what may pass by itself from what will not by these answers."""

from io import BytesIO

import pytest

from app.kubernetes.client import KubeClient
from app.kubernetes.errors import KubernetesUnauthorized
from app.kubernetes.resources import CONFIG_MAPS, NAMESPACES, SECRETS
from app.ports import ClusterAccess
from tests.contract.api import JSON, MERGE, config_map, make, refusal, send
from tests.contract.world import INSTANCE, World


async def test_a_wrong_token_is_not_let_in(world: World) -> None:
    """401: the kubeconfig belongs to an earlier cluster, a fresh one is asked for."""
    kubeconfig = (await world.cluster.clusters.access(INSTANCE)).kubeconfig
    users = [entry | {"user": {"token": "wrong"}} for entry in kubeconfig["users"]]
    async with await KubeClient.connect(ClusterAccess(kubeconfig | {"users": users})) as stranger:
        with pytest.raises(KubernetesUnauthorized):
            await stranger.get(NAMESPACES, "default")


@pytest.mark.parametrize("path", ["/api/v1/nothings", "/api/v1/namespaces/default/nothings", "/apis/apps/v9"])
async def test_an_address_that_is_not_there(world: World, path: str) -> None:
    """404 as a Status, which ``find`` takes for "no such type"."""
    assert (await refusal(world, "GET", path))[:2] == (404, "NotFound")


@pytest.mark.parametrize("path", ["/nothing", "/apis/none.example.com", "/apis/none.example.com/v1/things"])
async def test_an_address_outside_of_every_group(world: World, path: str) -> None:
    """404 in plain text, not a Status: errors are read from the number then."""
    answer = await send(world, "GET", path)
    assert (answer.status, answer.text.strip()) == (404, "404 page not found")


@pytest.mark.parametrize(("method", "name"), [("POST", "one"), ("PUT", ""), ("PATCH", "")])
async def test_a_verb_in_the_wrong_place(world: World, namespace: str, method: str, name: str) -> None:
    """405."""
    path = CONFIG_MAPS.path(namespace, name or None)
    assert (await refusal(world, method, path, config_map("one")))[:2] == (405, "MethodNotAllowed")


@pytest.mark.parametrize("body", ["", "{", "[]", '"text"', "\x00"])
async def test_a_body_that_is_no_object(world: World, namespace: str, body: str) -> None:
    """400, never an error of the server."""
    assert (await refusal(world, "POST", CONFIG_MAPS.path(namespace), body))[:2] == (400, "BadRequest")


WRONG = {
    "another kind": {"kind": "Secret", "metadata": {"name": "one"}},
    "another version": {"apiVersion": "v2", "kind": "ConfigMap", "metadata": {"name": "one"}},
    "another namespace": {"metadata": {"name": "one", "namespace": "other"}},
    "labels that are a list": {"metadata": {"name": "one", "labels": ["a"]}},
    "a label that is a number": {"metadata": {"name": "one", "labels": {"a": 1}}},
    "data that is text": {"metadata": {"name": "one"}, "data": "text"},
    "a value that is a number": {"metadata": {"name": "one"}, "data": {"key": 1}},
    "a time that is none": {"metadata": {"name": "one", "creationTimestamp": "yesterday"}},
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_object_of_the_wrong_shape(world: World, namespace: str, wrong: str) -> None:
    """400: it is not even read."""
    assert (await refusal(world, "POST", CONFIG_MAPS.path(namespace), WRONG[wrong]))[:2] == (400, "BadRequest")


INVALID = {
    "no name": {"metadata": {}},
    "a key with a space": {"metadata": {"name": "one"}, "data": {"a b": "x"}},
    "a key twice": {"metadata": {"name": "one"}, "data": {"a": "x"}, "binaryData": {"a": "eA=="}},
    "a label with a space": {"metadata": {"name": "one", "labels": {"a": "b c"}}},
    "an annotation without a name": {"metadata": {"name": "one", "annotations": {"a/": "b"}}},
}


@pytest.mark.parametrize("flaw", INVALID)
async def test_an_object_with_a_flaw(world: World, namespace: str, flaw: str) -> None:
    """422 with one cause per field."""
    answer = await send(world, "POST", CONFIG_MAPS.path(namespace), INVALID[flaw])
    assert (answer.status, answer.json["reason"]) == (422, "Invalid")
    assert answer.json["details"]["kind"] == "ConfigMap"
    assert answer.json["details"]["causes"][0]["field"]


async def test_a_secret_that_is_not_in_base64(world: World, namespace: str) -> None:
    """400: keys that were put in as plain text are noticed at once."""
    body = {"metadata": {"name": "one"}, "data": {"key": "***"}}
    assert (await refusal(world, "POST", SECRETS.path(namespace), body))[:2] == (400, "BadRequest")


async def test_a_refusal_names_the_object(world: World, namespace: str) -> None:
    """In its details, not only in words."""
    answer = await send(world, "GET", CONFIG_MAPS.path(namespace, "none"))
    assert answer.json["details"] == {"name": "none", "kind": "configmaps"}
    assert answer.json["message"] == 'configmaps "none" not found'


async def test_a_body_of_an_unknown_type(world: World, namespace: str) -> None:
    """415."""
    path = CONFIG_MAPS.path(namespace)
    assert (await refusal(world, "POST", path, config_map("one"), "text/plain"))[:2] == (415, "UnsupportedMediaType")


async def test_an_answer_of_an_unknown_type(world: World, namespace: str) -> None:
    """406: the service accepts anything as its last choice, so that a refusal can always be told."""
    answer = await world.http("GET", CONFIG_MAPS.path(namespace), Accept="text/html")
    assert (answer.status, answer.json["reason"]) == (406, "NotAcceptable")


async def test_a_body_in_yaml(world: World, namespace: str) -> None:
    """Taken as well as JSON."""
    text = "metadata:\n  name: one\ndata:\n  key: value\n"
    answer = await send(world, "POST", CONFIG_MAPS.path(namespace), text, "application/yaml")
    assert (answer.status, answer.json["data"]) == (201, {"key": "value"})


async def test_a_body_that_is_too_large(world: World, namespace: str) -> None:
    """413 over three mebibytes."""
    body = BytesIO(b" " * (3 * 2**20 + 1))
    answer = await world.http("POST", CONFIG_MAPS.path(namespace), body, Content_Type=JSON)
    assert (answer.status, answer.json["reason"]) == (413, "RequestEntityTooLarge")


async def test_a_dry_run_of_an_unknown_sort(world: World, namespace: str) -> None:
    """422: it is never done for real instead."""
    path = CONFIG_MAPS.path(namespace)
    assert (await refusal(world, "POST", path + "?dryRun=Some", config_map("one")))[:2] == (422, "Invalid")
    assert await world.kube.find(CONFIG_MAPS, "one", namespace) is None


async def test_a_deletion_of_an_unknown_sort(world: World, namespace: str) -> None:
    """422, and the object stays."""
    await make(world, namespace, "one")
    path = CONFIG_MAPS.path(namespace, "one")
    assert (await refusal(world, "DELETE", path, {"propagationPolicy": "Sideways"}))[:2] == (422, "Invalid")
    assert await world.kube.find(CONFIG_MAPS, "one", namespace) is not None


async def test_a_patch_that_breaks_the_object(world: World, namespace: str) -> None:
    """422 when the result could not have been created either; 400 when the patch cannot be read."""
    await make(world, namespace, "one")
    path = CONFIG_MAPS.path(namespace, "one")
    assert (await refusal(world, "PATCH", path, {"data": {"key": 1}}, MERGE))[:2] == (422, "Invalid")
    assert (await refusal(world, "PATCH", path, "{", MERGE))[:2] == (400, "BadRequest")


async def test_unknown_fields_are_ignored(world: World, namespace: str) -> None:
    """Unless the client asks to be told: then 400."""
    path, body = CONFIG_MAPS.path(namespace), config_map("one") | {"unknown": 1}
    assert (await refusal(world, "POST", path + "?fieldValidation=Strict", body))[:2] == (400, "BadRequest")
    answer = await send(world, "POST", path, body)
    assert answer.status == 201
    assert "unknown" not in answer.json
