"""Backups, figures and records from the command line."""

import gzip
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.host.instance_directory import InstanceDirectory
from app.jobs.models import BackupRecord
from tests.api.serving import ServedApi
from tests.cli.commands import command

BACKUP = "stop-backup-demo-20260101000000"


@pytest.fixture
async def backup(api: ServedApi, tmp_path: Path) -> str:
    """A backup with Velero's words about it on this host."""
    store = api.app.state.services.store
    at = datetime(2026, 1, 1, tzinfo=UTC)
    record = BackupRecord(
        host=store.host, instance="demo", name=BACKUP, instance_id="i", scope="full", status="proven", created_at=at
    )
    await store.backups.save(record)
    directory = InstanceDirectory.open(tmp_path / "instances", "demo")
    directory.prepare()
    directory.make(directory.proofs_directory / BACKUP)
    kept: dict[str, Any] = {
        "results.gz": {"errors": {}, "warnings": {"namespaces": {"internal": ["a volume was skipped"]}}},
        "resource-list.json.gz": {"v1/ConfigMap": ["internal/registry"]},
    }
    files = {name: json.dumps(document) for name, document in kept.items()} | {"logs.gz": "level=info msg=done\n"}
    for name, text in files.items():
        directory.write(directory.proofs_directory / BACKUP / f"{BACKUP}-{name}", gzip.compress(text.encode()))
    return BACKUP


async def test_what_velero_said_is_printed(api: ServedApi, backup: str) -> None:
    """Log, results and contents, each for people and for programs."""
    assert (await command(api.url, "logs", "demo", backup)).out == "level=info msg=done\n"
    assert json.loads((await command(api.url, "logs", "demo", backup, "--json")).out) == ["level=info msg=done"]
    assert "warnings internal: a volume was skipped" in (await command(api.url, "results", "demo", backup)).out
    contents = await command(api.url, "contents", "demo", backup)
    assert contents.out.splitlines()[1].split() == ["v1/ConfigMap", "internal/registry"]
    assert "v1/ConfigMap" in json.loads((await command(api.url, "contents", "demo", backup, "--json")).out)


async def test_pins_are_set_and_lifted(api: ServedApi, backup: str) -> None:
    """The answer says how it is now."""
    assert "is pinned" in (await command(api.url, "pin", "demo", backup)).out
    refused = await command(api.url, "delete", "demo", backup, "--force")
    assert (refused.code, "pinned" in refused.err) == (1, True)
    assert "is not pinned" in (await command(api.url, "unpin", "demo", backup)).out


async def test_the_last_good_backup_is_not_deleted_by_accident(api: ServedApi, backup: str) -> None:
    """Exit 1, with the way to do it all the same."""
    refused = await command(api.url, "delete", "demo", backup)
    assert (refused.code, "force=true" in refused.err) == (1, True)


async def test_what_is_not_there_is_said(api: ServedApi) -> None:
    """An unknown backup, an unknown job, nothing outstanding: exit 1 each."""
    for arguments in (["validate", "demo", "none"], ["logs", "demo", "none"], ["retry", "none"], ["accept", "demo"]):
        ended = await command(api.url, *arguments)
        assert ended.code == 1, arguments
        assert "Traceback" not in ended.err


async def test_backup_and_restore_are_operations_of_their_own(api: ServedApi) -> None:
    """A backup that fails is exit 1, a restore with warnings exit 5."""
    assert (await command(api.url, "backup", "demo", "--label", "by=me")).code == 1
    assert (await command(api.url, "restore", "demo")).code == 5


async def test_a_failed_job_is_retried(api: ServedApi) -> None:
    """As a new job of the same type."""
    await command(api.url, "backup", "demo")
    (failed,) = (await api.client.get("/jobs")).json()["jobs"]
    ended = await command(api.url, "retry", failed["id"], "--detach", "--json")
    assert json.loads(ended.out)["type"] == "backup"


async def test_figures_versions_and_records_are_shown(api: ServedApi) -> None:
    """Each as a table and as JSON."""
    await api.client.post("/instances/demo/stop", headers={"Prefer": "wait=20"})
    for arguments, word in (
        (["stats"], "stop"),
        (["stats", "demo"], "stop"),
        (["version"], "velero"),
        (["audit"], "local"),
    ):
        table = await command(api.url, *arguments)
        assert (table.code, word in table.out) == (0, True), arguments
        assert json.loads((await command(api.url, *arguments, "--json")).out)
