"""docs/scale.md, from figures."""

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.postgres import OLDEST_VERSION

if TYPE_CHECKING:
    from bench.postgres import Figures

DOCUMENT = Path("docs/scale.md")
LIST_GOAL_MS = 20.0
#: Transactions of one stop of the sandbox's seeded instance: two for each step, and the job's own.
WRITES_OF_A_STOP = 55
#: What PostgreSQL comes with, less those it keeps for its superuser; and what a service takes of them.
CONNECTIONS, CONNECTIONS_OF_A_SERVICE = 97, 5
_TEXT = """# The history: SQLite, or one PostgreSQL for many hosts

SQLite in `~/.kecs/state/state.db` needs nothing and is the default. For several hosts with one history:

<!-- not run: needs a PostgreSQL server -->
```sh
pip install 'kecs-state[postgres]'
export KECS_STATE_DATABASE_URL='postgresql+psycopg://kecs:PASSWORD@db.example.com:5432/kecs?sslmode=verify-full'
kecs-state serve
```

PostgreSQL {oldest} or newer (tested with {version}), a database whose owner is that role, and a connection that keeps
its session: PgBouncer only in its session mode. Keep the URL where you keep passwords, readable by you alone;
`settings`, `doctor`, logs and problems never show the password. Schemas are brought up to date by whichever service
begins first.

- Every job has the `host` whose service works it. All services list all jobs; `cancel`, `retry`, `/stats` and
  `/metrics` are for a host's own. Another host's events are heard after at most 15 s.
- Backups, their proofs and the keys of stores stay on their hosts. Tokens are shared: one made anywhere is accepted by
  all. Secrets of webhooks lie in the database too, so whoever reads it can sign messages.
- A host is its id in `~/.kecs/state/host-id`. One process at a time works it: a second one is refused by the name of
  the first (`host-already-served`), and one that slept while another took over writes nothing any more and ends
  (`host-taken-over`). A copied disk needs a host id of its own: delete that file.
- While the server cannot be reached nothing is begun and nothing powered off. Jobs go on once it is back, in the same
  attempt, and fail by their own deadline otherwise. What is committed is on the server's disk, however it is set up.

## What one carries

Written by `make bench-postgres` on {date}: {jobs:,} ended jobs of 20 hosts, on a machine with two cores that others
used too (load average {load:.0f}); the server on the same machine, as it comes. A list is a page of 50 with any of the
filters `instance`, `status` and `type`, for common and rare values, from the newest job or from anywhere; the shortest
of three tries.

{table}

The slowest list: {slowest}.
Kept for each stop besides its row: {journal} of steps and events.

## What breaks first

1. *Writes.* One transaction writes at a time, on PostgreSQL among all hosts, so that events come in the order of their
   ids. A stop writes some {writes}: at the rate above {stops} stops a second, of all hosts together. A slow disk under
   the server's log is felt at once.
2. *Connections.* A service takes up to five; a server as it comes has {connections}: {services} hosts.
3. *`/metrics` and `/stats`.* After a write they read every ended job of their host, {metrics} at 50,000 jobs. At a
   million on one host ask for them seldom, or delete old jobs.

## What is kept

Everything, until you delete it: jobs, their steps and events, deleted backups as rows, sent webhooks, audit events. On
either database, at any time (PostgreSQL's `psql`, or `sqlite3` on the file):

```sql
DELETE FROM job_event WHERE job_id IN (SELECT id FROM job WHERE finished_at < '2026-01-01');
DELETE FROM job_step WHERE job_id IN (SELECT id FROM job WHERE finished_at < '2026-01-01');
DELETE FROM webhook_delivery WHERE status <> 'pending' AND created_at < '2026-01-01';
DELETE FROM audit_event WHERE at < '2026-01-01';
DELETE FROM job WHERE finished_at < '2026-01-01';
```

Backups are not touched by this: their rows and proofs stand for themselves.
"""


def write_report(postgres: "Figures", sqlite: "Figures") -> None:
    """The page, whole."""
    writes = postgres.rates["transactions of steps, 4 processes"]
    metrics = "/metrics, 50,000 jobs of this host"
    DOCUMENT.write_text(
        _TEXT.format(
            oldest=OLDEST_VERSION,
            version=postgres.name.split()[-1],
            date=f"{datetime.now(UTC):%Y-%m-%d}",
            load=os.getloadavg()[1],
            jobs=postgres.jobs,
            table="\n".join(_rows(postgres, sqlite)),
            slowest=f"{postgres.slowest_list} on PostgreSQL, {sqlite.slowest_list} on SQLite",
            journal=" and ".join(
                f"{f.bytes['its steps and events'] / 1000:.0f} kB ({f.name})" for f in (postgres, sqlite)
            ),
            writes=WRITES_OF_A_STOP,
            stops=f"{writes / WRITES_OF_A_STOP:.0f}",
            connections=CONNECTIONS,
            services=CONNECTIONS // CONNECTIONS_OF_A_SERVICE,
            metrics=f"{postgres.seconds[metrics]:.1f} s",
        ),
        encoding="utf-8",
    )


def _rows(postgres: "Figures", sqlite: "Figures") -> list[str]:
    both = (postgres, sqlite)
    rows = [f"| | {postgres.name} | {sqlite.name} |", "|---|---|---|"]
    rows += [
        _row("a list, p50", [f"{figures.p50:.1f} ms" for figures in both]),
        _row(f"a list, p95 (goal {LIST_GOAL_MS:.0f} ms)", [f"{figures.p95:.1f} ms" for figures in both]),
        _row("the slowest list", [f"{max(figures.lists):.1f} ms" for figures in both]),
    ]
    rows += [_row(f"{name}, a second", [f"{f.rates[name]:,.0f}" for f in both]) for name in postgres.rates]
    size = "the job, with its indexes"
    rows.append(_row("on disk, jobs with their indexes", [f"{f.bytes[size] * f.jobs / 1e9:.2f} GB" for f in both]))
    rows += [_row(name, [_seconds(f.seconds[name]) for f in both]) for name in postgres.seconds]
    return rows


def _row(name: str, values: list[str]) -> str:
    return f"| {' | '.join([name, *values])} |"


def _seconds(value: float) -> str:
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.1f} ms"
