"""Leaving KECS's own restoration behind: report, first proven backup, switch, and the way back."""

from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from app.errors import NotMigrated, VeleroBackupRequired
from app.host.config import Policy
from app.host.instance_directory import InstanceDirectory
from app.kubernetes.resources import DEPLOYMENTS
from app.sandbox.kecs_store import STORE, read_store, write_store
from app.settings import Settings
from app.workflows.identity import record_new_instance
from app.workflows.migrating import switch_back, switch_policy
from app.workflows.world import InstanceSession, World
from tests.cli.commands import command
from tests.host.stores import damage, make_pgdata
from tests.instances import NAME
from tests.product import Product, sandbox_product

MIGRATION = f"/instances/{NAME}/migration"


def directory_of(product: Product) -> InstanceDirectory:
    return InstanceDirectory.open(product.state_dir / "instances", NAME)


def policy_of(product: Product) -> bool | None:
    config = directory_of(product).load_config()
    return config.policy.use_velero_backup if config else None


async def report(product: Product) -> dict[str, Any]:
    answer = await product.service.client.get(MIGRATION)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def refused(product: Product) -> tuple[int, str, str]:
    answer = await product.service.client.get(MIGRATION)
    return answer.status_code, answer.json()["code"], answer.json().get("trouble", "")


def codes(view: dict[str, Any]) -> list[str]:
    return [note["code"] for note in view["notes"]]


async def test_a_migration_and_its_way_back(tmp_path: Path) -> None:
    """DuckDB still does it. Migrated: Velero by the instance's policy, whatever the stage. And back."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in") as product:
        before = await report(product)
        assert (before["source"], before["backup"], before["complete"]) == ("cluster", None, False)
        assert codes(before) == ["no-copy-yet", "no-backup"]
        assert (await product.stop())["result"]["protected"] is False
        assert ((await report(product))["source"], codes(await report(product))) == ("store", ["no-backup"])
        await product.start()
        ended = await command(str(product.service.client.base_url), "migrate", NAME)
        # Done, with a warning: the first stop was no proven one, so it ended the tasks that ran.
        assert (ended.code, "! tasks-ended" in ended.out) == (5, True), ended.out + ended.err
        assert "are in the backup" in ended.out
        assert policy_of(product) is True
        after = await report(product)
        assert (after["source"], after["complete"], after["missing"], after["switched"]) == ("copy", True, 0, True)
        stopped = await product.stop()
        assert (stopped["result"]["protected"], stopped["warnings"]) == (True, [])
        await product.recreate()
        started = await product.start()
        assert (started["result"]["action"], started["result"]["kecs_restored"]) == ("restore", None)
        ended = await command(str(product.service.client.base_url), "migrate", NAME, "--back")
        assert (ended.code, policy_of(product)) == (0, None)
        assert (await product.stop())["result"]["protected"] is False


@pytest.mark.timeout(240)
async def test_the_three_stages_and_back_on_one_instance(tmp_path: Path) -> None:
    """1.0, 1.1, 1.2 and 1.0 again, by restarts with another setting: each stop and start does what its stage says."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in") as product:
        for stage, protected, action in [
            ("opt-in", False, "nothing-to-restore"),
            ("default", True, "restore"),
            ("only", True, "restore"),
        ]:
            await product.service.serve_with(ROLLOUT=stage)
            stopped = await product.stop()
            assert (stopped["status"], stopped["result"]["protected"]) == ("succeeded", protected)
            await product.recreate()
            started = await product.start()
            assert (started["status"], started["result"]["action"]) == ("succeeded", action)
            # KECS's own restoration is the first stage's alone.
            assert (started["result"]["kecs_restored"] is None) == protected
        await product.service.serve_with(ROLLOUT="opt-in")
        assert (await product.stop())["result"]["protected"] is False
        # The way back loses nothing: what was proven before is still there to be restored.
        await product.recreate()
        assert (await product.start())["result"]["action"] == "restore"


async def test_every_cluster_service_and_task_is_reported(tmp_path: Path) -> None:
    """Covered, missing and extra, each by name, from the store of a stopped instance; by command line too."""
    async with sandbox_product(tmp_path) as product:
        await product.stop()
        path = directory_of(product).data / STORE
        rows = read_store(path)
        newer = rows["services"][0] | {"id": "n", "arn": "n", "service_name": "newer", "deployment_name": "newer"}
        gone = rows["services"][1:]
        write_store(path, rows | {"services": [newer, *gone]})
        view = await report(product)
        counts = Counter((entry["kind"], entry["status"]) for entry in view["entries"])
        assert counts == {
            ("cluster", "covered"): len(rows["clusters"]),
            ("service", "covered"): len(gone),
            ("service", "missing"): 1,
            ("service", "extra"): 1,
            ("task", "covered"): len(rows["tasks"]),
        }
        ended = await command(str(product.service.client.base_url), "migrate", NAME, "--report")
        assert (ended.code, "newer" in ended.out, "MISSING (1)" in ended.out) == (1, True, True)


async def test_stores_that_say_nothing_are_problems_and_change_nothing(tmp_path: Path) -> None:
    """Corrupt, empty, foreign, newer; and Postgres, whose data only its server reads."""
    async with sandbox_product(tmp_path) as product:
        await product.stop()
        path = directory_of(product).data / STORE
        good = path.read_bytes()
        for how, trouble in (("empty", "empty"), ("foreign", "foreign"), ("corrupt", "corrupt"), ("newer", "newer")):
            path.write_bytes(good)
            damage(path, how)
            broken = path.read_bytes()
            assert await refused(product) == (409, "state-store-unreadable", trouble)
            assert path.read_bytes() == broken
        path.write_bytes(good)
        make_pgdata(directory_of(product).data)
        view = await report(product)
        assert (view["generations"], view["source"]) == (["postgres", "duckdb"], "none")
        assert codes(view) == ["both-generations", "store-not-readable-here"]
        assert view["complete"] is False


async def test_what_the_backup_lacks_stops_the_switch_until_accepted(tmp_path: Path) -> None:
    """KECS knows a service that the cluster has lost: no backup could hold it."""
    async with sandbox_product(tmp_path) as product:
        await product.stop()
        await product.start()
        async with product.kube() as kube:
            await kube.delete(DEPLOYMENTS, "web", "shop-us-east-1")
        failed = await product.service.run(MIGRATION)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "migration-incomplete")
        assert (failed["error"]["missing"], policy_of(product)) == (["service shop/web"], None)
        accepted = await product.service.run(MIGRATION, {"accept_missing": True})
        assert (accepted["result"]["switched"], policy_of(product)) == (True, True)
        assert [warning["code"] for warning in accepted["warnings"]] == ["not-in-backup"]


@pytest.fixture
async def session(tmp_path: Path) -> AsyncIterator[InstanceSession]:
    """An instance on record; nothing of its cluster is asked."""
    settings = Settings(home=tmp_path)
    async with InstanceSession(World(settings, cast("Any", None), cast("Any", None)), NAME) as session:
        record_new_instance(session, "uid")
        yield session


@pytest.mark.parametrize("previous", [False, None])
async def test_the_way_back_is_what_the_policy_said_first(session: InstanceSession, previous: bool | None) -> None:
    """However often it was migrated, and with everything else of the policy untouched."""
    session.directory.update_config(policy=Policy(use_velero_backup=previous, keep_last=3))
    for backup in ("first", "second"):
        await switch_policy(session, backup)
    config = session.directory.update_config()
    assert (config.policy.use_velero_backup, config.migration and config.migration.backup) == (True, "second")
    assert await switch_back(session) == previous
    assert session.directory.update_config().policy == Policy(use_velero_backup=previous, keep_last=3)


async def test_without_a_migration_there_is_no_way_back(session: InstanceSession) -> None:
    """Also after it was gone once."""
    with pytest.raises(NotMigrated):
        await switch_back(session)


async def test_the_last_stage_refuses_a_way_back_into_refusals(session: InstanceSession) -> None:
    """A policy against Velero would make every stop fail there."""
    session.directory.update_config(policy=Policy(use_velero_backup=False))
    await switch_policy(session, "first")
    session.settings.rollout = "only"
    with pytest.raises(VeleroBackupRequired):
        await switch_back(session)
    assert session.directory.update_config().policy.use_velero_backup is True
