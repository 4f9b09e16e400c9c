"""KECS's own stores as tests need them: DuckDB files of the published schema, Postgres directories by their look."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from app.sandbox.kecs_store import Row, cluster_row, definition_row, service_row, task_row, write_store

REGION = "us-east-1"
DEFAULT_CLUSTER = cluster_row("default", REGION)
_HOLD = "import duckdb, sys; held = duckdb.connect(sys.argv[1]); print('held', flush=True); sys.stdin.read()"


def make_store(path: Path, *, clusters: list[Row] = [], services: list[Row] = [], tasks: list[Row] = []) -> None:  # noqa: B006 - only read
    """A kecs.db."""
    rows = {"clusters": clusters, "services": services, "tasks": tasks}
    write_store(path, rows | {"task_definitions": [definition_row("web", REGION, "nginx:1")]})


def service(name: str, cluster: str = "default") -> Row:
    """An ACTIVE service."""
    return service_row(name, cluster, REGION, family="web", count=1)


def task(name: str, cluster: str = "default", group: str = "", pod: str | None = None) -> Row:
    """A running task."""
    return task_row(name, cluster, REGION, family="web", group=group, pod=pod)


def make_pgdata(data: Path) -> Path:
    """What of a server's data directory is looked at, with one directory that is empty."""
    root = data / "postgres/pgdata"
    for folder in ("global", "base", "pg_notify"):
        (root / folder).mkdir(parents=True)
    (root / "PG_VERSION").write_text("16\n")
    (root / "global/pg_control").write_bytes(bytes(range(256)) * 32)
    return root


def damage(path: Path, how: str) -> None:
    """Make a store unusable."""
    content = path.read_bytes()
    if how == "link":
        path.rename(path.with_name("elsewhere"))
        path.symlink_to("elsewhere")
    elif how == "newer":
        path.write_bytes(content[:13] + b"\x7f" + content[14:])
    else:
        broken = {
            "empty": b"",
            "foreign": b"SQLite format 3\0" + content[16:],
            "cut off": content[:6000],
            "corrupt": content[:12288] + b"\xff" * (len(content) - 12288),
        }
        path.write_bytes(broken[how])


@contextmanager
def hold_open(path: Path) -> Iterator[None]:
    """Another process that has a DuckDB file open, as kecs-server has while it runs."""
    command = [sys.executable, "-c", _HOLD, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.kill()
