"""Reads a copy of KECS's DuckDB store and prints its rows as JSON: ``python -m app.host.duckdb_rows SCRATCH``.

A process of its own, since the library is native code that is handed a file of unknown health: whatever happens to it
there happens to nobody else. It needs nothing of this package.
"""

import json
import sys
from pathlib import Path
from typing import Any

#: Only what is compared; asking for more would bind this to one version of KECS.
QUERIES = {
    "clusters": "SELECT name, region FROM kecs.clusters WHERE coalesce(status, '') <> 'INACTIVE'",
    "services": "SELECT service_name, cluster_arn, region, deployment_name, namespace FROM kecs.services "
    "WHERE status = 'ACTIVE'",
    "tasks": "SELECT id, arn, cluster_arn, region, task_group, pod_name, namespace FROM kecs.tasks "
    "WHERE last_status IN ('RUNNING', 'PENDING')",
}
#: Nothing is fetched from a network and no file of another kind is opened in its place.
SETTINGS = {
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "memory_limit": "1GB",
    "threads": "2",
}
VERSION_AT, VERSION_END = 12, 20


def main(scratch: Path) -> dict[str, Any]:
    """Rows by table, or ``trouble``: ``not-installed``, ``newer``, ``corrupt`` or ``foreign``, with its ``detail``."""
    try:
        import duckdb
    except ImportError:
        return {"trouble": "not-installed", "detail": "the package duckdb is missing"}
    store = scratch / "kecs.db"
    try:
        connection = duckdb.connect(config=SETTINGS)
        connection.execute(f"ATTACH '{_quoted(store)}' AS kecs (TYPE duckdb, READ_ONLY)")
        return {table: _rows(connection, query) for table, query in QUERIES.items()}
    except (duckdb.CatalogException, duckdb.BinderException) as error:
        return {"trouble": "foreign", "detail": _first_line(error)}
    except duckdb.Error as error:
        return {"trouble": "newer" if _is_newer(store, scratch) else "corrupt", "detail": _first_line(error)}


def _rows(connection: Any, query: str) -> list[dict[str, Any]]:
    cursor = connection.execute(query)
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _is_newer(store: Path, scratch: Path) -> bool:
    """Whether the file's version is above what this library writes at its newest."""
    import duckdb

    ours = scratch / "newest.db"
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{_quoted(ours)}' AS newest (STORAGE_VERSION 'latest')")
    return _version(store) > _version(ours)


def _version(path: Path) -> int:
    return int.from_bytes(path.read_bytes()[VERSION_AT:VERSION_END], "little")


def _quoted(path: Path) -> str:
    return str(path).replace("'", "''")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:300]


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(Path(sys.argv[1]))))
