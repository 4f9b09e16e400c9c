"""Creating, reading, changing and refusing."""

import base64

import pytest

from tests.sandbox.kubeapi.conftest import Client, pod_spec, workload_spec

APPS = "/apis/apps/v1"


async def test_a_new_object_gets_identity(client: Client) -> None:
    """The server gives uid, version and time, and the namespace of the address."""
    metadata = (await client.create(client.path("configmaps"), "a", data={"k": "v"}))["metadata"]
    assert metadata.keys() >= {"uid", "resourceVersion", "creationTimestamp"}
    assert metadata["namespace"] == client.namespace


async def test_generated_names_differ(client: Client) -> None:
    """generateName makes a new name each time."""
    body = {"metadata": {"generateName": "job-"}}
    first, second = [await client.ok("POST", client.path("configmaps"), body) for _ in range(2)]
    assert first["metadata"]["name"] != second["metadata"]["name"]
    assert first["metadata"]["name"].startswith("job-")


async def test_a_change_without_effect_keeps_the_version(client: Client) -> None:
    """Watchers are not woken for nothing."""
    created = await client.create(client.path("secrets"), "a", stringData={"k": "v"})
    again = await client.patch(client.path("secrets", "a"), {"data": created["data"]})
    assert again["metadata"]["resourceVersion"] == created["metadata"]["resourceVersion"]


async def test_a_stale_put_is_a_conflict(client: Client) -> None:
    """Two writers cannot overwrite each other by accident."""
    created = await client.create(client.path("configmaps"), "a")
    await client.patch(client.path("configmaps", "a"), {"data": {"k": "1"}})
    status, answer = await client.request("PUT", client.path("configmaps", "a"), created)
    assert (status, answer["reason"]) == (409, "Conflict")


async def test_a_second_create_already_exists(client: Client) -> None:
    """Creating under a taken name tells so by its reason."""
    await client.create(client.path("configmaps"), "a")
    status, answer = await client.request("POST", client.path("configmaps"), {"metadata": {"name": "a"}})
    assert (status, answer["reason"], answer["kind"]) == (409, "AlreadyExists", "Status")


@pytest.mark.parametrize(
    ("plural", "body"),
    [
        ("configmaps", {"metadata": {"name": "Not_A_Name"}}),
        ("configmaps", {"metadata": {"name": "a", "labels": {"k": "not a value"}}}),
        ("pods", {"metadata": {"name": "a"}, "spec": {"containers": []}}),
        ("configmaps", {"metadata": {}}),
    ],
)
async def test_invalid_objects_are_refused(client: Client, plural: str, body: object) -> None:
    """422 with the causes."""
    status, answer = await client.request("POST", client.path(plural), body)
    assert (status, answer["reason"]) == (422, "Invalid")
    assert answer["details"]["causes"]


@pytest.mark.parametrize(
    "body",
    [b"{", b"[]", b"null", b'{"metadata": []}', b'{"metadata": {"name": 5}}', b'{"metadata":{"name":"a","labels":[]}}',
     b'{"metadata":{"name":"a","finalizers":[{}]}}', b'{"kind":"Pod","metadata":{"name":"a"}}', b"\xff\xfe"],
)  # fmt: skip
async def test_malformed_bodies_are_bad_requests(client: Client, body: bytes) -> None:
    """Nothing a client sends is an internal error."""
    assert await client.status("POST", client.path("configmaps"), body) == 400


async def test_an_unknown_body_format_is_refused(client: Client) -> None:
    """CBOR is not spoken here."""
    media = "application/cbor"
    assert await client.status("POST", client.path("configmaps"), b"k8s\0", media=media) == 415


async def test_unknown_verbs_and_paths(client: Client) -> None:
    """405 for a verb an address does not have, 404 for an address that is not served."""
    assert await client.status("POST", client.path("configmaps", "a"), {}) == 405
    assert await client.status("GET", "/apis/nobody.example/v1/things") == 404


async def test_status_belongs_to_its_subresource(client: Client) -> None:
    """A plain write leaves the status alone and the status subresource everything else."""
    await client.create(client.path("pods"), "a", spec=pod_spec(), status={"phase": "Running"})
    plain = await client.patch(client.path("pods", "a"), {"status": {"phase": "Failed"}})
    changed = await client.patch(
        client.path("pods", "a") + "/status", {"status": {"phase": "Running"}, "spec": {"x": 1}}
    )
    assert (plain["status"]["phase"], changed["status"]["phase"]) == ("Pending", "Running")
    assert "x" not in changed["spec"]


async def test_generation_counts_changes_of_the_spec(client: Client) -> None:
    """Labels and status do not count."""
    path = client.path("deployments", "web", APPS)
    await client.create(client.path("deployments", api=APPS), "web", spec=workload_spec())
    await client.patch(path, {"metadata": {"labels": {"a": "b"}}})
    await client.patch(path + "/status", {"status": {"replicas": 1}})
    changed = await client.patch(path, {"spec": {"replicas": 2}})
    assert changed["metadata"]["generation"] == 2


async def test_deployment_defaults(client: Client) -> None:
    """What clients read without having written it."""
    spec = (await client.create(client.path("deployments", api=APPS), "web", spec=workload_spec()))["spec"]
    assert (spec["replicas"], spec["strategy"]["type"], spec["revisionHistoryLimit"]) == (1, "RollingUpdate", 10)
    assert spec["template"]["spec"]["restartPolicy"] == "Always"


async def test_secret_strings_are_encoded(client: Client) -> None:
    """stringData is written only."""
    secret = await client.create(client.path("secrets"), "a", stringData={"k": "v"})
    assert secret["data"] == {"k": base64.b64encode(b"v").decode()}
    assert secret["type"] == "Opaque"
    assert "stringData" not in secret


async def test_cluster_addresses_are_allocated_once(client: Client) -> None:
    """A second Service cannot take the address of the first."""
    ports = [{"port": 80}]
    first = await client.create(client.path("services"), "a", spec={"ports": ports})
    address = first["spec"]["clusterIP"]
    body = {"metadata": {"name": "b"}, "spec": {"ports": ports, "clusterIP": address}}
    status, answer = await client.request("POST", client.path("services"), body)
    assert address.startswith("10.43.")
    assert status == 422
    assert "provided IP is already allocated" in answer["message"]


async def test_node_ports_are_allocated_once(client: Client) -> None:
    """A second Service cannot take the port of the first; a headless one has no address."""
    spec = {"type": "NodePort", "ports": [{"port": 80}]}
    port = (await client.create(client.path("services"), "a", spec=spec))["spec"]["ports"][0]["nodePort"]
    spec = {"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]}
    status, answer = await client.request("POST", client.path("services"), {"metadata": {"name": "b"}, "spec": spec})
    headless = await client.create(client.path("services"), "c", spec={"clusterIP": "None"})
    assert status == 422
    assert "provided port is already allocated" in answer["message"]
    assert headless["spec"]["clusterIP"] == "None"


async def test_a_dry_run_stores_nothing(client: Client) -> None:
    """Everything is checked and answered as if."""
    answer = await client.ok("POST", client.path("configmaps"), {"metadata": {"name": "a"}}, dryRun="All")
    assert answer["metadata"]["uid"]
    assert await client.status("GET", client.path("configmaps", "a")) == 404


async def test_scale_changes_the_replicas(client: Client) -> None:
    """One number for every kind that has replicas."""
    path = client.path("statefulsets", "db", "/apis/apps/v1")
    await client.create(client.path("statefulsets", api=APPS), "db", spec=workload_spec(serviceName="db"))
    await client.patch(path + "/scale", {"spec": {"replicas": 3}})
    assert (await client.get(path))["spec"]["replicas"] == 3
    assert (await client.get(path + "/scale"))["kind"] == "Scale"


async def test_metadata_only(client: Client) -> None:
    """Lists without contents, by Accept."""
    await client.create(client.path("configmaps"), "a", data={"k": "v"})
    accept = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io,application/json;q=0.9"
    listed = await client.get(client.path("configmaps"), accept=accept)
    assert listed["kind"] == "PartialObjectMetadataList"
    assert all(item.keys() == {"kind", "apiVersion", "metadata"} for item in listed["items"])


async def test_selectors(client: Client) -> None:
    """By labels, equality and sets, and by fields."""
    for number in range(3):
        await client.create(client.path("configmaps"), f"c{number}", metadata={"labels": {"n": str(number), "x": "y"}})

    async def names(**query: str) -> list[str]:
        return [item["metadata"]["name"] for item in (await client.get(client.path("configmaps"), **query))["items"]]

    assert await names(labelSelector="n in (0, 1),x=y,!z") == ["c0", "c1"]
    assert await names(labelSelector="x,n notin (0)") == ["c1", "c2"]
    assert await names(fieldSelector="metadata.name=c1") == ["c1"]
    assert await client.status("GET", client.path("configmaps"), labelSelector="a in (") == 400


async def test_pages(client: Client) -> None:
    """limit and continue visit everything once."""
    for number in range(5):
        await client.create(client.path("configmaps"), f"c{number}", metadata={"labels": {"page": "yes"}})
    seen, token = [], ""
    while True:
        page = await client.get(client.path("configmaps"), limit="2", labelSelector="page=yes", **{"continue": token})
        seen += [item["metadata"]["name"] for item in page["items"]]
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert seen == [f"c{number}" for number in range(5)]
