"""The stand-in's store: a real DuckDB file with the schema KECS published, read and written whole.

Unlike KECS the stand-in opens it only to read at its start and to write at its end, so that a seed can write it while
the stand-in runs.
"""

import json
from pathlib import Path
from typing import Any

import duckdb

STORE = "kecs.db"
ACCOUNT = "000000000000"
_TEXT, _INT, _TIME = "VARCHAR", "INTEGER", "TIMESTAMP"

#: Columns by table, as KECS at e77e851 has them; those without a type are text.
SCHEMA = {
    "clusters": f"""id PRIMARY KEY, arn UNIQUE, name UNIQUE, status, region, account_id, configuration, settings, tags,
        k8s_cluster_name, registered_container_instances_count {_INT}, running_tasks_count {_INT},
        pending_tasks_count {_INT}, active_services_count {_INT}, capacity_providers,
        default_capacity_provider_strategy, localstack_state, created_at {_TIME}, updated_at {_TIME}""",
    "task_definitions": f"""id PRIMARY KEY, arn UNIQUE, family, revision {_INT}, task_role_arn, execution_role_arn,
        network_mode, container_definitions, volumes, placement_constraints, requires_compatibilities, cpu, memory,
        tags, pid_mode, ipc_mode, proxy_configuration, inference_accelerators, runtime_platform, status, region,
        account_id, registered_at {_TIME}, deregistered_at {_TIME}""",
    "services": f"""id PRIMARY KEY, arn UNIQUE, service_name, cluster_arn, task_definition_arn, desired_count {_INT},
        running_count {_INT}, pending_count {_INT}, launch_type, platform_version, status, role_arn, load_balancers,
        service_registries, network_configuration, deployment_configuration, deployment_controller,
        placement_constraints, placement_strategy, capacity_provider_strategy, tags, scheduling_strategy,
        service_connect_configuration, enable_ecs_managed_tags BOOLEAN, propagate_tags, enable_execute_command BOOLEAN,
        health_check_grace_period_seconds {_INT}, region, account_id, deployment_name, namespace,
        created_at {_TIME}, updated_at {_TIME}""",
    "tasks": f"""id PRIMARY KEY, arn UNIQUE, cluster_arn, task_definition_arn, container_instance_arn, overrides,
        last_status, desired_status, cpu, memory, containers NOT NULL, started_by, version BIGINT, stop_code,
        stopped_reason, stopping_at {_TIME}, stopped_at {_TIME}, connectivity, created_at {_TIME}, started_at {_TIME},
        launch_type, platform_version, platform_family, task_group, attachments, health_status, tags, attributes,
        enable_execute_command BOOLEAN, capacity_provider_name, ephemeral_storage, region, account_id, pod_name,
        namespace, service_registries""",
}
_CONSTRAINTS = {"PRIMARY", "UNIQUE", "NOT"}
_STATEMENT = "CREATE TABLE {} ({})"

Row = dict[str, Any]
Rows = dict[str, list[Row]]


def write_store(path: Path, rows: Rows) -> None:
    """Replace the store by one with these rows, by table; columns that are not named stay NULL."""
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    with duckdb.connect(str(new)) as connection:
        for table, columns in SCHEMA.items():
            connection.execute(_STATEMENT.format(table, ", ".join(_column(column) for column in columns.split(","))))
            _insert(connection, table, rows.get(table, []))
    path.with_name(f"{path.name}.wal").unlink(missing_ok=True)
    new.replace(path)


def read_store(path: Path) -> Rows:
    """Every row of the four tables, with its columns by name."""
    found: Rows = {}
    with duckdb.connect(str(path)) as connection:
        for table in SCHEMA:
            cursor = connection.execute(f"SELECT * FROM {table}")  # noqa: S608 - a name of our own
            names = [column[0] for column in cursor.description]
            found[table] = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return found


def arn(region: str, kind: str, *parts: str) -> str:
    """An ECS ARN of the account KECS pretends to have."""
    return f"arn:aws:ecs:{region}:{ACCOUNT}:{kind}/{'/'.join(parts)}"


def cluster_row(name: str, region: str) -> Row:
    """An ECS cluster."""
    return {"id": name, "arn": arn(region, "cluster", name), "name": name, "status": "ACTIVE", "region": region}


def definition_row(family: str, region: str, image: str) -> Row:
    """A task definition of one container."""
    containers = json.dumps([{"name": family, "image": image, "essential": True}])
    own = {"id": family, "arn": arn(region, "task-definition", f"{family}:1"), "family": family, "revision": 1}
    return own | {"container_definitions": containers, "status": "ACTIVE", "region": region}


def service_row(name: str, cluster: str, region: str, *, family: str, count: int) -> Row:
    """A service that is ACTIVE."""
    return {
        "id": f"{cluster}-{name}",
        "arn": arn(region, "service", cluster, name),
        "service_name": name,
        "cluster_arn": arn(region, "cluster", cluster),
        "task_definition_arn": arn(region, "task-definition", f"{family}:1"),
        "desired_count": count,
        "launch_type": "FARGATE",
        "status": "ACTIVE",
        "scheduling_strategy": "REPLICA",
        "region": region,
        "deployment_name": name,
        "namespace": f"{cluster}-{region}",
    }


def task_row(task: str, cluster: str, region: str, *, family: str, group: str = "", pod: str | None = None) -> Row:
    """A task that runs; without a group it was made by RunTask."""
    return {
        "id": task,
        "arn": arn(region, "task", cluster, task),
        "cluster_arn": arn(region, "cluster", cluster),
        "task_definition_arn": arn(region, "task-definition", f"{family}:1"),
        "last_status": "RUNNING",
        "desired_status": "RUNNING",
        "containers": "[]",
        "task_group": group or f"family:{family}",
        "region": region,
        "pod_name": pod or task,
        "namespace": f"{cluster}-{region}",
    }


def _column(column: str) -> str:
    words = column.split()
    return column if len(words) > 1 and words[1] not in _CONSTRAINTS else f"{words[0]} {_TEXT} {' '.join(words[1:])}"


def _insert(connection: duckdb.DuckDBPyConnection, table: str, rows: list[Row]) -> None:
    if not rows:
        return
    names = list(rows[0])
    one = f"({', '.join('?' * len(names))})"
    statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES {', '.join([one] * len(rows))}"  # noqa: S608
    connection.execute(statement, [row[name] for row in rows for name in names])
