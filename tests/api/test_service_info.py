"""The service about itself."""

import asyncio
from pathlib import Path

import httpx
import pytest

from app.ports import ClusterStatus
from tests.api.serving import ServedApi
from tests.metrics import metric_values


@pytest.mark.parametrize("path", ["/readyz", "/health"])
async def test_a_ready_service_says_what_it_looked_at(client: httpx.AsyncClient, path: str) -> None:
    """Every check by name; /health is the name KECS uses."""
    response = await client.get(path)
    assert response.status_code == 200
    assert {check["name"]: check["ok"] for check in response.json()["checks"]} == {
        "database": True, "power-driver": True, "engine": True, "disk": True,
    }  # fmt: skip


async def test_a_service_that_is_not_ready_says_why(api: ServedApi) -> None:
    """503 with the failing check's detail, while the process itself is alive."""
    api.clusters.reachable = False
    response = await api.client.get("/readyz")
    failed = {check["name"]: check["detail"] for check in response.json()["checks"] if not check["ok"]}
    assert (response.status_code, failed["power-driver"]) == (503, "the container engine does not answer")
    assert (await api.client.get("/livez")).status_code == 200


async def test_many_who_ask_at_once_are_answered_by_one_look(api: ServedApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look runs the power driver's programs: a burst of them would keep the driver from answering in time."""
    looks = 0

    async def slowly() -> dict[str, ClusterStatus]:
        nonlocal looks
        looks += 1
        await asyncio.sleep(0.5)
        return {}

    monkeypatch.setattr(api.clusters, "list", slowly)
    answers = await asyncio.gather(*(api.client.get("/readyz") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {200}
    assert looks < 20
    before = looks
    await api.client.get("/readyz")
    assert looks == before + 1, "a later one looks anew"


async def test_the_version_names_what_is_installed_in_clusters(client: httpx.AsyncClient) -> None:
    """The service's own version, and the pinned images."""
    version = (await client.get("/version")).json()
    assert version["driver"] == "k3d"
    assert "velero:v" in version["velero"]


async def test_images_are_listed_for_mirrors(client: httpx.AsyncClient) -> None:
    """Whatever a cluster must be able to pull."""
    images = (await client.get("/images")).json()["images"]
    assert all(image["reference"] and image["overridden"] is False for image in images)
    assert "velero" in {image["role"] for image in images}


async def test_swagger_ui_is_served(client: httpx.AsyncClient) -> None:
    """A page for people, over the same document."""
    assert "/openapi.json" in (await client.get("/docs")).text
    assert (await client.get("/openapi.json")).json()["openapi"].startswith("3.1")


async def test_statistics_count_jobs_by_type_and_status(api: ServedApi) -> None:
    """Of all instances, and of one."""
    await api.ended((await api.client.post("/instances/demo/stop")).json()["id"])
    await api.ended((await api.client.post("/instances/many1/backups")).json()["id"])
    everything = (await api.client.get("/stats")).json()["jobs"]
    assert everything == {"stop": {"succeeded": 1}, "backup": {"failed": 1}}
    assert (await api.client.get("/instances/demo/stats")).json()["jobs"] == {"stop": {"succeeded": 1}}
    assert (await api.client.get("/instances/nobody/stats")).status_code == 404


async def test_metrics_are_prometheus_text(client: httpx.AsyncClient) -> None:
    """The names of the ADR, in the format Prometheus reads."""
    response = await client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'kecs_state_backup_total{result="proven"} 0.0' in response.text


async def test_metrics_tell_of_the_process_too(client: httpx.AsyncClient) -> None:
    """Memory, descriptors and tasks, by the names every exporter uses where there are any."""
    values = metric_values((await client.get("/metrics")).text)
    assert values["kecs_state_tasks"] >= 1
    if Path("/proc/self/stat").exists():
        assert values["process_resident_memory_bytes"] > 10_000_000
        assert values["process_open_fds"] > 3
