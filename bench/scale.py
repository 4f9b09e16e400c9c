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
#: One a minute, for as long as they are kept.
STOPS_KEPT = 24 * 60 * 90
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
3. *The disk.* {journal} of steps and events for each stop, kept for 90 days: a stop a minute makes
   {disk}.

`/metrics` and `/stats` do not break: they read what was counted when it happened, and of the newest 1,000 jobs and
backups how long they took.

## What is kept

What has been over for 90 days (`KECS_STATE_HISTORY__KEEP_DAYS`) is removed: jobs with their steps, events and
idempotency keys, rows of backups that were deleted, messages that were sent or given up, audit events. Each service
does so for its own host, when it begins and each hour, fifty jobs in a transaction. Backups are not touched. However
old they are, these stay:

- the newest 50 jobs (`KECS_STATE_HISTORY__KEEP_JOBS`) of each instance that has a directory, so a laptop that nobody
  used for a year still shows how it went; and every job that has not ended;
- a job that made a backup there is a row of, one about a backup that an outstanding restore or a migration refers to,
  one of which a message still waits, and the one with the newest event of all;
- messages that wait, receivers of webhooks, tokens;
- what was counted: some twenty rows for each name of an instance. Numbers in `/metrics` and `/stats` are of all there
  ever were, and no counter falls.

Who asks for a removed job hears 404 `job-not-found` with the number of days. A request sent again with its
`Idempotency-Key` is a new one. A follower whose `Last-Event-ID` is older than every event goes on with the oldest: a
job goes with all of its events, so it may miss jobs and never a part of one.

The file of SQLite gets no smaller, and no larger than the history once was: its free pages are used again, as
PostgreSQL does after its own autovacuum. Measured with 1,000 stops written and removed six times: 44.8 MB after the
first, 44.9 MB after the last (PostgreSQL: 41.4 and 45.1 MB); a transaction of fifty jobs took 0.05 s, the longest of
120 0.25 s. To give space back to the disk, end the service and let `sqlite3 ~/.kecs/state/state.db VACUUM` run.

A host that is gone removes nothing any more. On PostgreSQL, with its id:

```sql
DELETE FROM job_event WHERE job_id IN (SELECT id FROM job WHERE host = 'HOST');
DELETE FROM job_step WHERE job_id IN (SELECT id FROM job WHERE host = 'HOST');
DELETE FROM job WHERE host = 'HOST';
DELETE FROM backup WHERE host = 'HOST';
DELETE FROM figure WHERE host = 'HOST';
DELETE FROM webhook_delivery WHERE host = 'HOST';
DELETE FROM webhook_endpoint WHERE host = 'HOST';
DELETE FROM audit_event WHERE host = 'HOST';
DELETE FROM host_claim WHERE host = 'HOST';
```
"""


def write_report(postgres: "Figures", sqlite: "Figures") -> None:
    """The page, whole."""
    writes = postgres.rates["transactions of steps, 4 processes"]
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
            disk=" and ".join(
                f"{f.bytes['its steps and events'] * STOPS_KEPT / 1e9:.0f} GB ({f.name})" for f in (postgres, sqlite)
            ),
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
