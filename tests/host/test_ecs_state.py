"""What KECS's DuckDB store says, and every way in which it may say nothing."""

import sys
from pathlib import Path

import duckdb
import pytest

from app.errors import StepTimeout
from app.host import ecs_state
from app.host.ecs_state import DuckdbNotInstalled, EcsObject, EcsState, StateStoreUnreadable, read_duckdb
from app.sandbox.kecs_store import cluster_row
from tests.host.stores import DEFAULT_CLUSTER, REGION, damage, make_store, service, task


async def test_clusters_services_and_tasks_with_their_places(tmp_path: Path) -> None:
    """As KECS names them in the cluster."""
    tasks = [task("t1"), task("t2", group="service:web", pod="web-7f-x")]
    make_store(tmp_path / "kecs.db", clusters=[DEFAULT_CLUSTER], services=[service("web")], tasks=tasks)
    place = {"cluster": "default", "namespace": f"default-{REGION}"}
    assert await read_duckdb(tmp_path) == EcsState(
        objects=[
            EcsObject(kind="cluster", name="default", object=f"default-{REGION}", **place),
            EcsObject(kind="service", name="web", object="web", **place),
            EcsObject(kind="task", name="t1", object="t1", **place),
            EcsObject(kind="task", name="t2", object="web-7f-x", service="web", **place),
        ]
    )


async def test_what_has_ended_is_left_out(tmp_path: Path) -> None:
    """Only ACTIVE services and tasks that run or are about to."""
    clusters = [DEFAULT_CLUSTER, cluster_row("old", REGION) | {"status": "INACTIVE"}]
    services = [service("web"), service("gone") | {"status": "INACTIVE"}]
    tasks = [task("t1") | {"last_status": "STOPPED"}, task("t2") | {"last_status": "PENDING"}]
    make_store(tmp_path / "kecs.db", clusters=clusters, services=services, tasks=tasks)
    assert [one.name for one in (await read_duckdb(tmp_path)).objects] == ["default", "web", "t2"]


async def test_places_that_older_versions_left_empty_follow_from_names(tmp_path: Path) -> None:
    """Namespace and Deployment as KECS's own restoration would choose them."""
    bare = {"namespace": None, "deployment_name": None, "region": None}
    make_store(tmp_path / "kecs.db", services=[service("web") | bare])
    [found] = (await read_duckdb(tmp_path)).objects
    assert (found.namespace, found.object) == ("default-us-east-1", "web")


async def test_a_store_without_rows_is_an_answer(tmp_path: Path) -> None:
    """Nothing was made yet."""
    make_store(tmp_path / "kecs.db")
    assert (await read_duckdb(tmp_path)).objects == []


async def test_the_write_ahead_log_counts(tmp_path: Path) -> None:
    """A server that was killed has its last words there and nowhere else."""
    make_store(tmp_path / "whole.db")
    connection = duckdb.connect(str(tmp_path / "whole.db"), config={"checkpoint_threshold": "1GB"})
    connection.execute("INSERT INTO clusters (id, arn, name, status) VALUES ('c', 'a', 'late', 'ACTIVE')")
    for suffix in ("", ".wal"):
        (tmp_path / f"kecs.db{suffix}").write_bytes((tmp_path / f"whole.db{suffix}").read_bytes())
    connection.close()
    assert [one.name for one in (await read_duckdb(tmp_path)).objects] == ["late"]


@pytest.mark.parametrize(
    ("how", "trouble"),
    [("empty", "empty"), ("foreign", "foreign"), ("cut off", "corrupt"), ("corrupt", "corrupt"), ("newer", "newer")],
)
async def test_what_cannot_be_read_is_named(tmp_path: Path, how: str, trouble: str) -> None:
    """With what to do about it."""
    make_store(tmp_path / "kecs.db", services=[service("web")])
    damage(tmp_path / "kecs.db", how)
    with pytest.raises(StateStoreUnreadable) as raised:
        await read_duckdb(tmp_path)
    assert raised.value.extras["trouble"] == trouble
    assert raised.value.remedy


async def test_a_duckdb_file_of_somebody_else_is_foreign(tmp_path: Path) -> None:
    """Sound, and without KECS's tables."""
    with duckdb.connect(str(tmp_path / "kecs.db")) as connection:
        connection.execute("CREATE TABLE sales (amount INTEGER)")
    with pytest.raises(StateStoreUnreadable) as raised:
        await read_duckdb(tmp_path)
    assert raised.value.extras["trouble"] == "foreign"


async def test_without_the_extra_the_problem_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The library is looked for in the process that reads, and nowhere else."""
    make_store(tmp_path / "kecs.db")
    (tmp_path / "duckdb.py").write_text("raise ImportError\n")  # in that process's own directory, before the real one
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with pytest.raises(DuckdbNotInstalled) as raised:
        await read_duckdb(tmp_path)
    assert "kecs-state[duckdb]" in raised.value.remedy


async def test_a_reader_that_dies_is_a_store_that_cannot_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Native code may crash over a bad file; the service goes on."""
    make_store(tmp_path / "kecs.db")
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(StateStoreUnreadable, match="without an answer"):
        await read_duckdb(tmp_path)


async def test_a_reader_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Within its deadline."""
    make_store(tmp_path / "kecs.db")
    hanging = tmp_path / "hanging"
    hanging.write_text("#!/bin/sh\nexec sleep 600\n")
    hanging.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(hanging))
    monkeypatch.setattr(ecs_state, "READ_SECONDS", 0.05)
    with pytest.raises(StepTimeout):
        await read_duckdb(tmp_path)
