"""Without a backup: KECS's own restoration from its store, seen to and held against what the store says.

On the sandbox alone, whose stand-in restores from a real DuckDB file as KECS does.
"""

from pathlib import Path
from typing import Any

from app.sandbox import supervisor
from app.sandbox.kecs_store import STORE, read_store, write_store
from tests.host.stores import damage
from tests.instances import NAME
from tests.product import Product, sandbox_product

WITHOUT = {"use_velero_backup": False}


def store_of(product: Product) -> Path:
    return product.state_dir / "instances" / NAME / "data" / STORE


def codes(job: dict[str, Any]) -> list[str]:
    return [warning["code"] for warning in job["warnings"]]


async def delete_cluster(product: Product) -> None:
    """Somebody deletes the cluster, as `kecs start` does before it makes it anew."""
    await supervisor.delete(product.state_dir, NAME)


async def test_a_lost_store_comes_back_and_kecs_restores_from_it(tmp_path: Path) -> None:
    """Stage opt-in: never backed up, made anew without its store; nothing of what KECS knows is missing."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in") as product:
        rows = read_store(store_of(product))
        stopped = await product.stop()
        assert stopped["result"]["state_copy"] is not None
        await delete_cluster(product)
        store_of(product).unlink()
        await supervisor.create(product.state_dir, NAME)
        damage(store_of(product), "empty")
        started = await product.start()
        found = started["result"]["kecs_restored"]
        assert (started["result"]["action"], found["told_by"], found["missing"]) == ("nothing-to-restore", "duckdb", [])
        assert found["server_restarted"] is True
        assert {name for name in found["brought_back"] if name.startswith("service ")} == {
            f"service {row['cluster_arn'].rpartition('/')[2]}/{row['service_name']}" for row in rows["services"]
        }
        assert codes(started) == ["state-put-back", "restored-by-kecs"]
        assert "web" in {name.rpartition("/")[2].partition("-")[0] for name in await product.pods()}


async def test_what_kecs_does_not_bring_back_is_named(tmp_path: Path) -> None:
    """After the time that it gets; the start goes on."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in", WORKFLOW__FALLBACK_TIMEOUT_SECONDS="1") as product:
        rows = read_store(store_of(product))
        lost = rows["services"][0] | {"deployment_name": "renamed-since", "id": "x", "arn": "x"}
        write_store(store_of(product), rows | {"services": [*rows["services"], lost]})
        await product.stop()
        await product.recreate()
        started = await product.start()
        assert codes(started) == ["restored-by-kecs", "kecs-restore-missing"]
        cluster = lost["cluster_arn"].rpartition("/")[2]
        assert started["result"]["kecs_restored"]["missing"] == [f"service {cluster}/{lost['service_name']}"]


async def test_kecs_restores_where_velero_could_not(tmp_path: Path) -> None:
    """Its server is let go before it is waited for: held for a restore that failed, it would bring nothing back."""
    async with sandbox_product(tmp_path) as product:
        await product.stop()
        await product.recreate()
        product.faults(crash_once="restore:InProgress")
        started = await product.start()
        assert codes(started)[0] == "restore-failed"
        found = started["result"]["kecs_restored"]
        assert (started["status"], found["told_by"], found["missing"]) == ("succeeded", "duckdb", [])
        steps = await product.steps(started)
        assert steps.index("hold-kecs-server") < steps.index("release-kecs-server") < steps.index("wait-for-kecs")


async def test_a_broken_store_is_put_back_before_power_on(tmp_path: Path) -> None:
    """The cluster survived; the warning names where the broken file is kept."""
    async with sandbox_product(tmp_path) as product:
        await product.service.run(f"/instances/{NAME}/stop", WITHOUT)
        good = store_of(product).read_bytes()
        damage(store_of(product), "cut off")
        started = await product.start()
        assert (started["status"], store_of(product).read_bytes()) == ("succeeded", good)
        [warning] = started["warnings"]
        [aside] = warning["kept_aside"]
        assert (warning["code"], Path(aside).stat().st_size) == ("state-put-back", 6000)


async def test_a_store_that_cannot_be_copied_fails_no_stop(tmp_path: Path) -> None:
    """It is a warning: what protects is the proven backup."""
    async with sandbox_product(tmp_path) as product:
        (product.state_dir / "instances" / NAME / "state-copies").write_text("in the way")
        stopped = await product.stop()
        assert (stopped["status"], stopped["result"]["protected"]) == ("succeeded", True)
        assert (codes(stopped), stopped["result"]["state_copy"]) == (["copy-state-failed"], None)
        assert product.state() == "stopped"


async def test_copies_can_be_left_out(tmp_path: Path) -> None:
    """By the setting, for stores too large to have twice."""
    async with sandbox_product(tmp_path, ROLLOUT="opt-in", WORKFLOW__KEEP_STATE_COPIES="0") as product:
        stopped = await product.stop()
        assert stopped["result"]["state_copy"] is None
        assert not (product.state_dir / "instances" / NAME / "state-copies").exists()
