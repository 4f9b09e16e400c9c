"""One instance, its service and a receiver of webhooks through many kills, and what was seen on the way."""

import asyncio
import contextlib
import json
import random
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.kubernetes.resources import CONFIG_MAPS, DEPLOYMENTS, STATEFUL_SETS
from app.sandbox.supervisor import cluster_directory
from app.velero.models import BACKUPS
from tests.bucket import backups_in_bucket
from tests.chaos.checker import Checker
from tests.chaos.rounds import Kill, plan_kill
from tests.chaos.victims import cut_power, kill_in, kill_pod, kill_service
from tests.instances import NAME
from tests.journal import until_step
from tests.product import Product, sandbox_product
from tests.waiting import eventually
from tests.webhooks.receiver import Answer, Receiver, listening

PROOF_MAX_AGE_SECONDS = 3.0
SETTINGS = {
    "WORKFLOW__PROOF_MAX_AGE_SECONDS": str(PROOF_MAX_AGE_SECONDS),
    "WORKFLOW__MAX_BACKUP_TRIES": "10",
    "WORKFLOW__MAX_ATTEMPTS": "50",
    "WORKFLOW__PREFLIGHT_WAIT_SECONDS": "1",
    # A cluster that somebody powers on during its power-off is waited for in vain.
    "WORKFLOW__POWER_TIMEOUT_SECONDS": "20",
}
JOB_SECONDS = 180
#: An answer takes this long, so that the service can be killed while it waits for one.
ANSWER_SECONDS = 0.03
#: How often a job that lost its cluster or its store may be followed by a start that does not succeed either.
TRIES_TO_SET_RIGHT = 3
PATHS = {
    "stop": "/stop",
    "start": "/start",
    "start anew": "/start",
    "backup": "/backups",
    "restore": "/restores",
    "rebuild": "/rebuild",
    "migrate": "/migration",
    "stack-wake": "/stack/wake",
    "stack-sleep": "/stack/sleep",
}


@dataclass
class Seen:
    """What happened, for the checker and for the report."""

    kills: Counter[str] = field(default_factory=Counter)
    operations: Counter[str] = field(default_factory=Counter)
    ends: Counter[str] = field(default_factory=Counter)
    accepted: list[str] = field(default_factory=list)
    power_offs: int = 0
    excused: set[str] = field(default_factory=set)
    markers: list[str] = field(default_factory=list)
    power_log: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


@dataclass
class Harness:
    """``kill_once`` may be called as often as one likes; ``check`` once, at the end."""

    product: Product
    receiver: Receiver
    moments: random.Random
    seen: Seen = field(default_factory=Seen)

    async def kill_once(self) -> None:
        """One operation and one kill during it; nothing if who was to be killed did not run by then."""
        kill = plan_kill(self.moments, running=self.product.state() == "running")
        job = await self._begin(kill.operation)
        if job is None:
            return
        hit = await self._strike(kill, job)
        ended = await self.product.service.ended(job["id"])
        self.seen.kills[kill.victim] += hit
        self.seen.operations[kill.operation] += 1
        self.seen.ends[_how(ended)] += 1
        if hit and kill.victim not in {"service", "delivery"}:
            self.seen.excused.add(job["id"])
        if ended["status"] == "failed":
            await self._set_right(kill, ended)
        elif kill.operation in {"start", "start anew"}:
            await self._judge_start(kill, ended)

    async def check(self) -> list[str]:
        """Bring everything to rest and give every violation of every rule."""
        product, seen = self.product, self.seen
        for operation in ("start", "stop", "start"):
            ended = await self._run(operation)
        await self._expect_markers(None, ended)
        in_bucket = await backups_in_bucket(product)  # which wakes the stack, by a job that is told of too
        await eventually(self._all_delivered, 60)
        heard = [(body["data"]["job"]["id"], body["type"]) for body in map(_body, self.receiver.got)]
        checker = Checker(
            product.state_dir, NAME, proof_max_age_seconds=PROOF_MAX_AGE_SECONDS, earlier_power_log=seen.power_log
        )
        seen.power_offs = len(checker.power_offs)
        return [
            *seen.violations,
            *checker.lost_jobs(seen.accepted),
            *checker.unended_jobs(),
            *checker.failed_jobs(seen.excused),
            *checker.doubled_backups(await live_backups(product)),
            *checker.unproven_power_offs(),
            *checker.unheard_messages(heard),
            *checker.untrue_history(in_bucket),
            *await self._not_at_rest(),
        ]

    async def _begin(self, operation: str) -> dict[str, Any] | None:
        """Submit it; None if the service has a good reason to refuse."""
        if operation == "stop":
            self.seen.markers.append(f"marker-{len(self.seen.markers)}")
            await self.product.add_config_map(self.seen.markers[-1])
        if operation == "start anew":
            log = cluster_directory(self.product.state_dir, NAME) / "power.log"
            self.seen.power_log += log.read_text().splitlines()
            await self.product.recreate()
        method, path = "POST", PATHS.get(operation, "")
        if operation in {"validate", "delete-backup"}:
            proven = [row["id"] for row in await self.product.backups() if row["status"] == "proven"]
            if len(proven) < 2:
                return None
            name = self.moments.choice(proven[1:])
            method, path = {
                "validate": ("POST", f"/backups/{name}/validate"),
                "delete-backup": ("DELETE", f"/backups/{name}"),
            }[operation]
        return await self._submit(method, path)

    async def _submit(self, method: str, path: str) -> dict[str, Any] | None:
        """The accepted job; a refusal is a violation."""
        answer = await self.product.service.client.request(method, f"/instances/{NAME}{path}")
        if answer.status_code != 202:
            self.seen.violations.append(f"{method} {path} was refused: {answer.text}")
            return None
        job: dict[str, Any] = answer.json()
        self.seen.accepted.append(job["id"])
        return job

    async def _strike(self, kill: Kill, job: dict[str, Any]) -> bool:
        """Whether there was anybody to kill."""
        if kill.victim == "delivery":
            before = len(self.receiver.got)
            await self.receiver.has(before + 1, 60)
            await kill_service(self.product)
            return True
        if kill.victim == "service":
            await kill_in(self.product, job, kill.step, kill.delay_seconds)
            return True
        await until_step(self.product.state_dir, job["id"], kill.step)
        await asyncio.sleep(kill.delay_seconds)
        if kill.victim == "cluster":
            return await cut_power(self.product, kill.delay_seconds)
        return kill_pod(self.product, kill.victim)

    async def _judge_start(self, kill: Kill, ended: dict[str, Any]) -> None:
        """One that succeeded has brought everything back; or it lost what it needs for that, and says what is due."""
        if not _is_due(ended):
            await self._expect_markers(kill, ended)
            return
        if ended["id"] not in self.seen.excused:
            self.seen.violations.append(f"{kill} left a restore due: {ended['warnings']}")
        await self._set_right(kill, ended)

    async def _set_right(self, kill: Kill, ended: dict[str, Any]) -> None:
        """A job that failed said why, and a start brings everything back; what was to be saved is still there."""
        if ended["status"] == "failed" and ended["error"]["code"] == "internal-error":
            self.seen.violations.append(f"{kill} ended in {ended['error']}")
        for _ in range(TRIES_TO_SET_RIGHT):
            started = await self._run("start")
            if started["status"] == "succeeded" and not _is_due(started):
                await self._expect_markers(kill, started)
                return
        self.seen.violations.append(f"after {kill} no start brings everything back")

    async def _run(self, operation: str) -> dict[str, Any]:
        job = await self._submit("POST", PATHS[operation])
        return await self.product.service.ended(job["id"]) if job is not None else {"status": "refused"}

    async def _expect_markers(self, kill: Kill | None, start: dict[str, Any]) -> None:
        """Everything that was there before a power-off is there after a start that says so."""
        async with self.product.kube() as kube:
            there = {item["metadata"]["name"] for item in (await kube.list(CONFIG_MAPS, "default")).items}
        if lost := set(self.seen.markers) - there:
            result = start.get("result") or {}
            said = {key: result.get(key) for key in ("action", "reason", "backup", "restored")}
            self.seen.violations.append(f"lost without a word after {kill}: {sorted(lost)}; the start says {said}")
            self.seen.markers = [marker for marker in self.seen.markers if marker in there]

    async def _all_delivered(self) -> bool:
        with contextlib.closing(sqlite3.connect(self.product.state_dir / "state" / "state.db")) as database:
            query = "SELECT count(*) FROM webhook_delivery WHERE status != 'delivered'"
            return database.execute(query).fetchone() == (0,)

    async def _not_at_rest(self) -> list[str]:
        """Workloads of the stack that have replicas, and a kecs-server that has none."""

        async def quiet() -> bool:
            return not await self._awake()

        try:
            await eventually(quiet, 60)
        except TimeoutError:
            return await self._awake()
        return []

    async def _awake(self) -> list[str]:
        async with self.product.kube() as kube:
            stack = [
                item
                for resource in (DEPLOYMENTS, STATEFUL_SETS)
                for item in (await kube.list(resource, "velero")).items
            ]
            server = await kube.get(DEPLOYMENTS, "kecs-server", "kecs-system")
        awake = [f"{item['metadata']['name']} is awake" for item in stack if item["spec"].get("replicas", 1)]
        return awake + ["kecs-server is held at zero"] * (not server["spec"].get("replicas", 1))


@asynccontextmanager
async def running_harness(state_dir: Path, seed: int, *, power_off: str) -> AsyncIterator[Harness]:
    """An instance with its service, and a receiver that listens to everything."""
    receiver = Receiver(always=Answer(seconds=ANSWER_SECONDS))
    async with (
        listening(receiver),
        sandbox_product(state_dir, WORKFLOW__POWER_OFF=power_off, **SETTINGS) as product,
    ):
        answer = await product.service.post("/webhooks", {"url": receiver.url()})
        assert answer.status_code == 201, answer.text
        product.service.job_seconds = JOB_SECONDS
        yield Harness(product, receiver, random.Random(seed))  # noqa: S311 - replayable


async def live_backups(product: Product) -> list[dict[str, Any]]:
    """Every Backup the cluster knows."""
    async with product.kube() as kube:
        return (await kube.list(BACKUPS, "velero")).items


def _is_due(start: dict[str, Any]) -> bool:
    """Whether a start that succeeded says that a restore still has to be done."""
    return start["result"]["restore_outstanding"] is not None


def _how(ended: dict[str, Any]) -> str:
    return f"{ended['status']}: {ended['error']['code']}" if ended["error"] else str(ended["status"])


def _body(got: Any) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(got.body)
    return body
