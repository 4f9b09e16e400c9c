"""Holds what happened against what the service recorded: database, power log, bucket and receiver, from outside."""

import json
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.sandbox.supervisor import cluster_directory


@dataclass(frozen=True)
class PowerOff:
    """A power-off that really happened: when the first process was about to be ended, or when the last one was."""

    at: datetime


class Checker:
    """Reads everything once; each method gives the violations of one rule, in words."""

    def __init__(
        self, state_dir: Path, name: str, *, proof_max_age_seconds: float, earlier_power_log: Sequence[str] = ()
    ) -> None:
        """``earlier_power_log``: the lines of clusters of that name that were made anew since."""
        self._proof_max_age = proof_max_age_seconds
        database = sqlite3.connect(state_dir / "state" / "state.db")
        database.row_factory = sqlite3.Row
        self.jobs = database.execute("SELECT * FROM job ORDER BY id").fetchall()
        self.steps = database.execute("SELECT * FROM job_step").fetchall()
        self.events = database.execute("SELECT * FROM job_event ORDER BY id").fetchall()
        self.backups = database.execute("SELECT * FROM backup ORDER BY name").fetchall()
        database.close()
        lines = (cluster_directory(state_dir, name) / "power.log").read_text().splitlines()
        self.power_offs = list(_power_offs([*earlier_power_log, *lines]))

    def unended_jobs(self) -> list[str]:
        """Every accepted job has ended."""
        return [f"{job['id']} is {job['status']}" for job in self.jobs if job["finished_at"] is None]

    def failed_jobs(self, excused: Collection[str] = ()) -> list[str]:
        """A kill of the service alone fails no job; ``excused`` are those that lost something else meanwhile."""
        failed = [job for job in self.jobs if job["status"] == "failed" and job["id"] not in excused]
        return [f"{job['type']} {job['id']}: {job['error']}" for job in failed]

    def lost_jobs(self, accepted: Collection[str]) -> list[str]:
        """Every job that a caller was told of is on record."""
        return [
            f"{job_id} was accepted and is not known" for job_id in set(accepted) - {job["id"] for job in self.jobs}
        ]

    def unheard_messages(self, heard: Collection[tuple[str, str]]) -> list[str]:
        """A receiver that listens to everything heard, as ``(job id, type)``, of every beginning, proof and end."""
        due = {(job["id"], "job.started") for job in self.jobs if job["started_at"]}
        due |= {(job["id"], f"job.{job['status']}") for job in self.jobs if job["status"] in {"succeeded", "failed"}}
        due |= {(row["job_id"], "backup.proven") for row in self.backups if row["job_id"] and row["proven_at"]}
        return [f"nobody heard of {kind} of {job_id}" for job_id, kind in sorted(due - set(heard))]

    def untrue_history(self, in_bucket: Collection[str]) -> list[str]:
        """What history calls proven is in the bucket, and nothing is there that history does not know."""
        kept = {row["name"] for row in self.backups if row["status"] != "deleted"}
        proven = {row["name"] for row in self.backups if row["status"] == "proven"}
        gone = [f"{name} is proven and not in the bucket" for name in sorted(proven - set(in_bucket))]
        return gone + [f"{name} is in the bucket and not in the history" for name in sorted(set(in_bucket) - kept)]

    @staticmethod
    def doubled_backups(backups: list[dict[str, Any]]) -> list[str]:
        """One Backup per try."""
        seen: dict[tuple[str, str], str] = {}
        doubled = []
        for backup in backups:
            labels, name = backup["metadata"]["labels"], backup["metadata"]["name"]
            key = labels["kecs-state.dev/job"], labels["kecs-state.dev/try"]
            if key in seen:
                doubled.append(f"{name} and {seen[key]} are both of {key}")
            seen[key] = name
        return doubled

    def unproven_power_offs(self) -> list[str]:
        """Before each power-off stands a journaled beginning, and before that a proof fresh enough."""
        earlier = [datetime.min.replace(tzinfo=UTC), *(off.at for off in self.power_offs)]
        pairs = zip(earlier, self.power_offs, strict=False)
        return [problem for since, off in pairs if (problem := self._problem_of(off, since))]

    def _problem_of(self, off: PowerOff, since: datetime) -> str:
        """``since``: the power-off before this one; what was begun for that one begins no other."""
        begun = [
            event
            for event in self.events
            if event["type"] == "power_off_begun" and since < _time(event["at"]) <= off.at
        ]
        if not begun:
            return f"the power-off at {off.at} was never begun in the journal"
        job_id, at = begun[-1]["job_id"], _time(begun[-1]["at"])
        proof = self._proof_recorded_before(job_id, at)
        if proof is None:
            return f"the power-off at {off.at} had no proof before it"
        age = (at - proof).total_seconds()
        return f"the proof of the power-off at {off.at} was {age:.1f} s old" if age > self._proof_max_age else ""

    def _proof_recorded_before(self, job_id: str, moment: datetime) -> datetime | None:
        """When the proof of the job's newest try at that moment was finished, if it was on record by then."""
        of_job = [step for step in self.steps if step["job_id"] == job_id and _time(step["started_at"]) <= moment]
        newest = max((_try_of(step["key"]) for step in of_job), default=1)
        for step in of_job:
            recorded = step["status"] == "succeeded" and _time(step["finished_at"]) <= moment
            if recorded and step["key"].partition("#")[0] == "prove-backup" and _try_of(step["key"]) == newest:
                return _time(json.loads(step["result"])["finished_at"])
        return None


def _power_offs(lines: list[str]) -> Iterator[PowerOff]:
    """One that was cut off half way and finished later counts from where the cluster last was whole."""
    began = None
    for line in lines:
        moment, what = line.split()
        at = datetime.fromtimestamp(int(moment) / 1e9, UTC)
        if what == "off":
            yield PowerOff(began or at)
        began = at if what == "ending" else None


def _try_of(key: str) -> int:
    return int(key.partition("#")[2] or 1)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
