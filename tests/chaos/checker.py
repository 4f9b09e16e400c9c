"""Holds what happened against what the service recorded: database, power log and bucket, read from outside."""

import json
import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from app.sandbox.supervisor import cluster_directory


@dataclass(frozen=True)
class PowerOff:
    """A power-off that really happened."""

    at: datetime


class Checker:
    """Reads everything once; each method gives the violations of one rule, in words."""

    def __init__(self, state_dir: Path, name: str, *, proof_max_age_seconds: float) -> None:
        self._proof_max_age = proof_max_age_seconds
        database = sqlite3.connect(state_dir / "state" / "state.db")
        database.row_factory = sqlite3.Row
        self.jobs = database.execute("SELECT * FROM job ORDER BY id").fetchall()
        self.steps = database.execute("SELECT * FROM job_step").fetchall()
        self.events = database.execute("SELECT * FROM job_event ORDER BY id").fetchall()
        database.close()
        lines = (cluster_directory(state_dir, name) / "power.log").read_text().splitlines()
        moments = [line.split() for line in lines]
        self.power_offs = [
            PowerOff(datetime.fromtimestamp(int(moment) / 1e9, UTC)) for moment, what in moments if what == "off"
        ]

    def unended_jobs(self) -> list[str]:
        """Every accepted job has ended."""
        return [f"{job['id']} is {job['status']}" for job in self.jobs if job["finished_at"] is None]

    def failed_jobs(self) -> list[str]:
        """A kill alone fails no job."""
        return [f"{job['type']} {job['id']}: {job['error']}" for job in self.jobs if job["status"] == "failed"]

    def doubled_backups(self, backups: list[dict[str, Any]]) -> list[str]:
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
        return [problem for off in self.power_offs if (problem := self._problem_of(off))]

    def _problem_of(self, off: PowerOff) -> str:
        begun = [event for event in self.events if event["type"] == "power_off_begun" and _time(event["at"]) <= off.at]
        if not begun:
            return f"the power-off at {off.at} was never begun in the journal"
        last = begun[-1]
        proofs = [
            _time(json.loads(step["result"])["finished_at"])
            for step in self.steps
            if step["job_id"] == last["job_id"]
            and step["key"].startswith("prove-backup")
            and step["status"] == "succeeded"
        ]
        before = [proof for proof in proofs if proof <= _time(last["at"])]
        if not before:
            return f"the power-off at {off.at} had no proof before it"
        age = (_time(last["at"]) - max(before)).total_seconds()
        return f"the proof of the power-off at {off.at} was {age:.1f} s old" if age > self._proof_max_age else ""


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
