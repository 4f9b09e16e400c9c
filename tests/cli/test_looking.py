"""Commands that only look."""

import json
from datetime import UTC, datetime

from app.jobs.models import BackupRecord
from tests.api.serving import ServedApi
from tests.cli.commands import command

BACKUP = "stop-backup-demo-20260101000000"


async def test_status_lists_the_instances(api: ServedApi) -> None:
    """A table with a row for each."""
    ended = await command(api.url, "status")
    rows = {line.split()[0]: line.split()[1] for line in ended.out.splitlines()[1:]}
    assert rows["demo"] == "running"
    assert rows["off"] == "stopped"


async def test_status_of_one_instance_shows_its_facts(api: ServedApi) -> None:
    """The active job is named."""
    job = (await api.client.post("/instances/demo/start")).json()
    ended = await command(api.url, "status", "demo")
    assert ended.out.startswith("demo is running")
    assert job["id"] in ended.out


async def test_the_doctor_finds_what_is_wrong(api: ServedApi) -> None:
    """A line for each check with its remedy; anything that hinders a stop or the service itself makes it fail."""
    ended = await command(api.url, "doctor", "demo")
    lines = ended.out.splitlines()
    assert (ended.code, lines[0]) == (1, "this machine")
    assert any(line.split()[:2] == ["refused", "storage"] for line in lines), ended.out
    api.clusters.reachable = False
    ended = await command(api.url, "doctor", "--json")
    document = json.loads(ended.out)
    assert (ended.code, document["service"]["ready"], document["instances"]) == (1, False, [])


async def test_ready_is_an_exit_code_for_scripts(api: ServedApi) -> None:
    """0 when work can be done, 1 with the check that fails and what to do, 3 where nothing answers."""
    ended = await command(api.url, "ready")
    assert (ended.code, ended.out.splitlines()[0]) == (0, "ready"), ended.err
    api.clusters.reachable = False
    ended = await command(api.url, "ready")
    assert (ended.code, ended.out.splitlines()[0]) == (1, "NOT ready")
    assert ["failed", "power-driver"] in [line.split()[:2] for line in ended.out.splitlines()]
    assert (await command("http://127.0.0.1:9", "ready")).code == 3


async def test_ready_as_json_is_the_document_in_both_cases(api: ServedApi) -> None:
    """Of a 503 too."""
    said = []
    for reachable in (True, False):
        api.clusters.reachable = reachable
        said.append(json.loads((await command(api.url, "ready", "--json")).out)["ready"])
    assert said == [True, False]


async def test_jobs_are_listed_newest_first(api: ServedApi) -> None:
    """A table with a row for each."""
    for name in ("many1", "many2"):
        await api.ended((await api.client.post(f"/instances/{name}/stop")).json()["id"])
    ended = await command(api.url, "jobs", "--status", "succeeded")
    assert [line.split()[2] for line in ended.out.splitlines()[1:]] == ["many2", "many1"]


async def test_one_job_shows_where_it_stands(api: ServedApi) -> None:
    """Without --follow the command returns at once."""
    job = (await api.client.post("/instances/demo/start")).json()
    await api.gate.held.wait()
    ended = await command(api.url, "jobs", job["id"])
    assert ended.code == 0
    assert "wait-at-the-gate" in ended.out


async def test_backups_are_listed(api: ServedApi) -> None:
    """A table with status, scope and size."""
    await _record_backup(api)
    ended = await command(api.url, "backups", "demo")
    assert ended.out.splitlines()[1].split()[:6] == [BACKUP, "proven", "full", "84", "2.0", "MiB"]


async def test_a_backup_without_a_proof_says_so(api: ServedApi) -> None:
    """A row alone proves nothing."""
    await _record_backup(api)
    assert "never proven on this host" in (await command(api.url, "backups", "demo", BACKUP)).out


async def test_json_is_the_services_own_document(api: ServedApi) -> None:
    """--json prints what the service answered."""
    ended = await command(api.url, "status", "demo", "--json")
    assert json.loads(ended.out) == (await api.client.get("/instances/demo")).json()


async def _record_backup(api: ServedApi) -> None:
    record = BackupRecord(
        host="host-of-this-test", instance="demo", name=BACKUP, instance_id="i", scope="full", status="proven",
        size_bytes=2 * 1024**2, items=84, created_at=datetime(2026, 1, 1, tzinfo=UTC),
    )  # fmt: skip
    await api.app.state.services.store.backups.save(record)
