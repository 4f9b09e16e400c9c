"""Lists: pages of one moment, selectors, and metadata without the rest."""

from urllib.parse import quote

import pytest

from app.kubernetes.resources import CONFIG_MAPS, CRDS, NAMESPACES, PODS, SECRETS
from tests.contract.api import Object, make, make_pod, refusal, watching
from tests.contract.world import World

METADATA_ONLY = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"


def names(page: Object) -> list[str]:
    """Of the items of a page, without the ConfigMap that every namespace has."""
    found = [item["metadata"]["name"] for item in page["items"]]
    return [name for name in found if name != "kube-root-ca.crt"]


async def page(world: World, namespace: str, **query: str) -> Object:
    """One page of Secrets."""
    found: Object = await world.kube.transport.request("GET", SECRETS.path(namespace), query=query)
    return found


async def make_secrets(world: World, namespace: str, *made: str) -> None:
    """Secrets: a new namespace has none of its own."""
    for name in made:
        await world.kube.create(SECRETS, {"metadata": {"name": name}}, namespace)


async def test_a_list_comes_in_the_order_of_names(world: World, namespace: str) -> None:
    """Pages can only be continued because the order is fixed."""
    await make_secrets(world, namespace, "b", "c", "a")
    assert names(await page(world, namespace)) == ["a", "b", "c"]


async def test_a_list_comes_in_pages(world: World, namespace: str) -> None:
    """As long as there is a token there is more; the last page has none."""
    await make_secrets(world, namespace, "a", "b", "c")
    first = await page(world, namespace, limit="2")
    assert names(first) == ["a", "b"]
    assert first["metadata"]["remainingItemCount"] == 1
    last = await page(world, namespace, limit="2", **{"continue": first["metadata"]["continue"]})
    assert names(last) == ["c"]
    assert "continue" not in last["metadata"]


async def test_pages_are_of_one_moment(world: World, namespace: str) -> None:
    """What happens between two pages is in neither: an inventory is one picture, not a mixture."""
    await make_secrets(world, namespace, "a", "b", "d")
    first = await page(world, namespace, limit="1")
    await make_secrets(world, namespace, "c")
    await world.kube.delete(SECRETS, "d", namespace)
    await world.kube.merge_patch(SECRETS, "b", {"data": {"changed": "MQ=="}}, namespace)
    rest = await page(world, namespace, limit="9", **{"continue": first["metadata"]["continue"]})
    assert names(rest) == ["b", "d"]
    assert "data" not in rest["items"][0]
    assert rest["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_a_limit_that_fits_gives_no_token(world: World, namespace: str) -> None:
    """No request is made for an empty page."""
    await make_secrets(world, namespace, "a", "b")
    assert "continue" not in (await page(world, namespace, limit="2"))["metadata"]


async def test_a_broken_token_is_refused(world: World, namespace: str) -> None:
    """400, not a list from the beginning."""
    status, reason, _ = await refusal(world, "GET", SECRETS.path(namespace) + "?limit=1&continue=broken")
    assert (status, reason) == (400, "BadRequest")


async def test_an_empty_list_is_a_list(world: World, namespace: str) -> None:
    """No items and a version to watch from; the same for a namespace that nobody has made."""
    for place in (namespace, "never-made"):
        found = await page(world, place)
        assert (found["kind"], found["items"]) == ("SecretList", [])
        assert found["metadata"]["resourceVersion"].isdecimal()


async def test_a_watch_goes_on_from_a_list(world: World, namespace: str) -> None:
    """Nothing falls between the list and the watch that begins at its version."""
    version = (await page(world, namespace))["metadata"]["resourceVersion"]
    await make_secrets(world, namespace, "between")
    async with watching(world, SECRETS.path(namespace), resourceVersion=version) as events:
        assert await events.names(1) == [("ADDED", "between")]


async def test_items_name_their_kind_only_if_custom(world: World, namespace: str) -> None:
    """In lists built-in objects have neither kind nor apiVersion; a comparison must not take that for a change."""
    await make_secrets(world, namespace, "a")
    [item] = (await page(world, namespace))["items"]
    assert "kind" not in item
    assert "apiVersion" not in item


async def test_metadata_without_the_rest(world: World, namespace: str) -> None:
    """The inventory lists everything so: labels, owners and versions, but no content."""
    await make(world, namespace, "one", labels={"a": "b"})
    found = await world.kube.list(CONFIG_MAPS, namespace, metadata_only=True, field_selector="metadata.name=one")
    [item] = found.items
    assert item["kind"] == "PartialObjectMetadata"
    assert "data" not in item
    assert item["metadata"]["labels"] == {"a": "b"}
    assert item["metadata"]["uid"]


async def test_metadata_in_pages(world: World, namespace: str) -> None:
    """Pages and metadata only go together."""
    await make_secrets(world, namespace, "a", "b")
    found = await world.kube.transport.request(
        "GET", SECRETS.path(namespace), query={"limit": "1"}, accept=METADATA_ONLY
    )
    assert (found["kind"], names(found)) == ("PartialObjectMetadataList", ["a"])
    assert found["metadata"]["continue"]


async def test_metadata_of_definitions(world: World, namespace: str) -> None:
    """Applied definitions are found by label and annotation without reading their long schemas."""
    found = await world.kube.list(CRDS, metadata_only=True, label_selector=f"none={namespace}")
    assert found.items == []


async def test_all_namespaces_at_once(world: World, namespace: str) -> None:
    """Every item says where it is."""
    await make(world, namespace, "one", labels={"only": namespace})
    found = await world.kube.list(CONFIG_MAPS, label_selector=f"only={namespace}")
    assert [(item["metadata"]["namespace"], item["metadata"]["name"]) for item in found.items] == [(namespace, "one")]


SELECTORS = {
    "tier=web": ["a"],
    "tier==web": ["a"],
    "tier!=web": ["b", "c"],
    "tier in (web,db)": ["a", "b"],
    "tier notin (web)": ["b", "c"],
    "tier": ["a", "b"],
    "!tier": ["c"],
    "tier=web,new": [],
}


@pytest.mark.parametrize("selector", SELECTORS)
async def test_label_selectors(world: World, namespace: str, selector: str) -> None:
    """Every form that the service, Velero or a user's command writes; a missing label is "not equal" too."""
    for name, labels in (("a", {"tier": "web"}), ("b", {"tier": "db"}), ("c", {})):
        await world.kube.create(SECRETS, {"metadata": {"name": name, "labels": labels}}, namespace)
    assert names(await page(world, namespace, labelSelector=selector)) == SELECTORS[selector]


async def test_a_field_selector_by_name(world: World, namespace: str) -> None:
    """One object of a list, as waiting for it asks."""
    await make_secrets(world, namespace, "a", "b")
    assert names(await page(world, namespace, fieldSelector="metadata.name=b")) == ["b"]
    assert names(await page(world, namespace, fieldSelector="metadata.name!=b")) == ["a"]


async def test_a_field_selector_by_phase(world: World, namespace: str) -> None:
    """Pods can be asked for by phase; a pod that no node has begins as Pending."""
    await make_pod(world, namespace, nodeSelector={"no": "node"})
    for phase, expected in (("Pending", ["one"]), ("Running", [])):
        found = await world.kube.list(PODS, namespace, field_selector=f"status.phase={phase}")
        assert [item["metadata"]["name"] for item in found.items] == expected


@pytest.mark.parametrize("selector", ["data.key=1", "nonsense", "spec.nothing=1"])
async def test_an_unknown_field_selector_is_refused(world: World, namespace: str, selector: str) -> None:
    """400: it is never ignored, which would list everything."""
    path = CONFIG_MAPS.path(namespace) + f"?fieldSelector={quote(selector)}"
    assert (await refusal(world, "GET", path))[:2] == (400, "BadRequest")


@pytest.mark.parametrize("selector", ["a===b", "a b", "in (x)", "a in x"])
async def test_a_broken_label_selector_is_refused(world: World, namespace: str, selector: str) -> None:
    """400 for the same reason."""
    path = CONFIG_MAPS.path(namespace) + f"?labelSelector={quote(selector)}"
    assert (await refusal(world, "GET", path))[:2] == (400, "BadRequest")


@pytest.mark.newer_kubernetes("it is answered with a 500")
async def test_a_version_that_is_no_number_is_refused(world: World, namespace: str) -> None:
    """400 for a list."""
    assert (await refusal(world, "GET", CONFIG_MAPS.path(namespace) + "?resourceVersion=abc"))[0] == 400


async def test_a_list_of_the_future_times_out(world: World) -> None:
    """504 with a hint to come back: a client of another, younger cluster learns that its version is not from here."""
    status, reason, message = await refusal(world, "GET", NAMESPACES.path() + "?resourceVersion=900000000")
    assert (status, reason) == (504, "Timeout")
    assert "Too large resource version" in message
