"""The three patches and server-side apply."""

from tests.sandbox.kubeapi.conftest import Client, pod_spec, workload_spec

APPS = "/apis/apps/v1"


async def test_json_patch(client: Client) -> None:
    """Operations apply in order; one that does not apply is refused."""
    path = client.path("configmaps", "a")
    await client.create(client.path("configmaps"), "a", data={"k": "v"})
    changed = await client.patch(path, [{"op": "add", "path": "/data/n", "value": "1"}], "json")
    assert changed["data"] == {"k": "v", "n": "1"}
    bad = [{"op": "remove", "path": "/data/missing"}]
    assert await client.status("PATCH", path, bad, media="application/json-patch+json") == 422


async def test_strategic_merge_by_key(client: Client) -> None:
    """Containers are merged by name."""
    path = client.path("deployments", "web", APPS)
    await client.create(client.path("deployments", api=APPS), "web", spec=workload_spec())
    sidecar = {"name": "side", "image": "registry.invalid/side:1"}
    patch = {"spec": {"template": {"spec": {"containers": [sidecar]}}}}
    changed = await client.patch(path, patch, "strategic")
    containers = changed["spec"]["template"]["spec"]["containers"]
    assert {one["name"] for one in containers} == {"main", "side"}


async def test_an_unknown_patch_is_refused(client: Client) -> None:
    """415, not a guess."""
    await client.create(client.path("configmaps"), "a")
    assert await client.status("PATCH", client.path("configmaps", "a"), {}, media="application/json") == 415


async def test_apply_creates_changes_and_removes(client: Client) -> None:
    """Fields left out of the next configuration go; those of others stay."""
    path = client.path("configmaps", "a")
    status, _ = await client.apply(path, {"data": {"k": "v", "old": "x"}}, "one")
    await client.patch(path, {"data": {"other": "y"}}, fieldManager="two")
    again, answer = await client.apply(path, {"data": {"k": "w"}}, "one")
    assert (status, again) == (201, 200)
    assert answer["data"] == {"k": "w", "other": "y"}


async def test_apply_conflicts_unless_forced(client: Client) -> None:
    """A field another manager holds with another value is named."""
    path = client.path("configmaps", "a")
    await client.apply(path, {"data": {"k": "v"}}, "one")
    status, answer = await client.apply(path, {"data": {"k": "w"}}, "two")
    assert (status, answer["details"]["causes"][0]["field"]) == (409, ".data.k")
    status, answer = await client.apply(path, {"data": {"k": "w"}}, "two", force="true")
    assert (status, answer["data"]["k"]) == (200, "w")


async def test_applying_the_same_changes_nothing(client: Client) -> None:
    """Not even the version."""
    path = client.path("pods", "a")
    _, first = await client.apply(path, {"spec": pod_spec()}, "one")
    _, second = await client.apply(path, {"spec": pod_spec()}, "one")
    assert first["metadata"]["resourceVersion"] == second["metadata"]["resourceVersion"]


async def test_applied_list_items_go_by_their_key(client: Client) -> None:
    """A volume left out is removed, and only that one."""
    path = client.path("deployments", "web", APPS)

    def body(*volumes: str) -> dict[str, object]:
        spec = workload_spec()
        spec["template"]["spec"]["volumes"] = [{"name": name, "emptyDir": {}} for name in volumes]
        return {"spec": spec}

    await client.apply(path, body("a", "b"), "one")
    _, answer = await client.apply(path, body("b"), "one")
    assert [one["name"] for one in answer["spec"]["template"]["spec"]["volumes"]] == ["b"]
