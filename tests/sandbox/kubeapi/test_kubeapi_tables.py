"""Objects as rows: what kubectl prints is what the server has made of them."""

from typing import Any

import pytest

from app.sandbox.kubeapi.durations import age, human_duration
from app.sandbox.kubeapi.jsonpaths import first_at
from tests.sandbox.kubeapi.conftest import Client, definition, pod_spec

TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"
PROTOBUF_FIRST = "application/vnd.kubernetes.protobuf,application/json"


async def test_a_list_as_a_table(client: Client) -> None:
    """Each row has its object's metadata beside it."""
    await client.create(client.path("configmaps"), "one", data={"a": "1"})
    table = await client.get(client.path("configmaps"), accept=TABLE)
    assert [column["name"] for column in table["columnDefinitions"]] == ["Name", "Data", "Age"]
    row = next(row for row in table["rows"] if row["cells"][0] == "one")
    assert row["cells"][1] == 1
    assert (row["object"]["kind"], row["object"]["metadata"]["name"]) == ("PartialObjectMetadata", "one")


async def test_one_object_as_a_table(client: Client) -> None:
    """A table of one row."""
    await client.create(client.path("configmaps"), "one")
    table = await client.get(client.path("configmaps", "one"), accept=TABLE)
    assert [row["cells"][0] for row in table["rows"]] == ["one"]


@pytest.mark.parametrize(("include", "beside"), [("Object", "ConfigMap"), ("Metadata", "PartialObjectMetadata")])
async def test_what_stands_beside_a_row(client: Client, include: str, beside: str) -> None:
    """The whole object, or its metadata."""
    await client.create(client.path("configmaps"), "one")
    table = await client.get(client.path("configmaps", "one"), accept=TABLE, includeObject=include)
    assert table["rows"][0]["object"]["kind"] == beside


async def test_a_watch_of_tables(client: Client) -> None:
    """Every event is a table of one row."""
    async with client.watch(client.path("secrets")) as events:
        await client.create(client.path("secrets"), "one")
        assert (await anext(events))[0] == "ADDED"
    found = await client.get(client.path("secrets"), accept=TABLE)
    assert found["kind"] == "Table"


async def test_protobuf_is_answered_in_json(client: Client) -> None:
    """For whoever takes JSON as well."""
    assert (await client.get(client.path("configmaps"), accept=PROTOBUF_FIRST))["kind"] == "ConfigMapList"


async def test_protobuf_alone_cannot_be_given(client: Client) -> None:
    """406 names what can."""
    assert await client.status("GET", client.path("configmaps"), accept="application/vnd.kubernetes.protobuf") == 406


async def test_an_object_that_is_not_shaped_as_its_kind_has_a_row(client: Client) -> None:
    """Never a 500: status is written by anybody."""
    await client.create(client.path("pods"), "one", spec=pod_spec())
    await client.patch(client.path("pods", "one") + "/status", {"status": {"containerStatuses": [3], "phase": "Odd"}})
    table = await client.get(client.path("pods", "one"), accept=TABLE)
    assert table["rows"][0]["cells"][0] == "one"


async def test_cells_that_are_worked_out(client: Client) -> None:
    """A Job by its conditions, a Service by its ports, a pod by its containers."""
    jobs = client.path("jobs", api="/apis/batch/v1")
    await client.create(jobs, "one", spec={"template": {"spec": pod_spec(restartPolicy="Never")}, "suspend": True})
    status = {"conditions": [{"type": "Complete", "status": "True"}], "succeeded": 1}
    await client.patch(f"{jobs}/one/status", {"status": status})
    assert await _cells(client, f"{jobs}/one") == ["one", "Complete", "1/1"]
    await client.create(client.path("services"), "one", spec={"ports": [{"port": 80}]})
    assert (await _cells(client, client.path("services", "one"), 5))[4] == "80/TCP"
    await client.create(client.path("pods"), "two", spec=pod_spec())
    assert await _cells(client, client.path("pods", "two")) == ["two", "0/1", "Pending"]


async def _cells(client: Client, path: str, count: int = 3) -> Any:
    return (await client.get(path, accept=TABLE))["rows"][0]["cells"][:count]


async def test_columns_of_a_definition(client: Client) -> None:
    """In their order, with their types."""
    body = definition("dials", "tables.example", "Dial")
    body["spec"]["versions"][0]["additionalPrinterColumns"] = [
        {"name": "Turn", "type": "integer", "jsonPath": ".spec.turn"},
        {"name": "Since", "type": "date", "jsonPath": ".metadata.creationTimestamp", "priority": 1},
    ]
    await client.ok("POST", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", body)
    path = client.path("dials", api="/apis/tables.example/v1")
    await client.create(path, "one", spec={"turn": 7})
    table = await client.get(path, accept=TABLE)
    assert [column["priority"] for column in table["columnDefinitions"]] == [0, 0, 1]
    assert table["rows"][0]["cells"][:2] == ["one", 7]


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (-5, "0s"), (0, "0s"), (119, "119s"), (120, "2m"), (261, "4m21s"), (35 * 60, "35m"), (11100, "3h5m"),
        (30 * 3600, "30h"), (52 * 3600, "2d4h"), (40 * 86400, "40d"), (800 * 86400, "2y70d"), (3000 * 86400, "8y"),
    ],
)  # fmt: skip
def test_durations(seconds: int, written: str) -> None:
    """As kubectl writes them."""
    assert human_duration(seconds) == written


def test_an_unreadable_time_has_no_age() -> None:
    """And a missing one neither."""
    assert age(None) == age("soon") == "<unknown>"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".spec.size", 3),
        ("{.spec.size}", 3),
        (".spec.list[0].name", "a"),
        (".spec.list[-1].name", "b"),
        ('.spec.list[?(@.name=="b")].on', True),
        (".spec.list[*].name", "a"),
        (r".spec.with\.dot", 1),
        (".spec['with.dot']", 1),
        (".spec.none.deeper", None),
        (".spec.list[7]", None),
        ("][", None),
    ],
)
def test_paths_of_columns(path: str, value: Any) -> None:
    """The first value found, or nothing."""
    spec = {"size": 3, "with.dot": 1, "list": [{"name": "a"}, {"name": "b", "on": True}]}
    assert first_at({"spec": spec}, path) == value
