"""Commands that make the service do something, and follow it to its end."""

from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.errors import CommandError, Exit
from app.cli.following import Job, follow, silence, terminal
from app.cli.options import (
    AsJson,
    CallbackUrl,
    Detach,
    ExcludedNamespaces,
    Gate,
    JobTimeout,
    Labels,
    Name,
    Namespaces,
    Partial,
    Resources,
    Selector,
    Timeout,
    Url,
    UseVelero,
    Volumes,
)
from app.cli.printing import print_job_end, print_json


class StopMode(StrEnum):
    """What a stop does about its backup."""

    REQUIRED = "required"
    BEST_EFFORT = "best_effort"
    SKIP = "skip"


class RestoreMode(StrEnum):
    """When a start restores."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class ExistingPolicy(StrEnum):
    """What a restore does to objects that exist already."""

    NONE = "none"
    UPDATE = "update"


class RerunTasks(StrEnum):
    """Whether tasks that ran at the stop run once more."""

    KEEP = "keep"
    SKIP = "skip"


class StoreKind(StrEnum):
    """Where backups may lie."""

    EXTERNAL = "external"
    INTERNAL = "internal"


class StackAction(StrEnum):
    """What to do with Velero and MinIO in the cluster."""

    WAKE = "wake"
    SLEEP = "sleep"


def stop(
    name: Name,
    *,
    use_velero: UseVelero = None,
    mode: Annotated[StopMode, typer.Option(help="required: no power-off without a proof.")] = StopMode.REQUIRED,
    include: Namespaces,
    exclude: ExcludedNamespaces,
    resources: Resources,
    selector: Selector = "",
    gate: Gate = None,
    on_partial: Partial = None,
    volumes: Volumes = None,
    labels: Labels,
    callback_url: CallbackUrl = None,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Back an instance up, prove the backup, then power it off."""
    backup = {
        "mode": None if mode is StopMode.REQUIRED else mode.value,
        "include_namespaces": include,
        "exclude_namespaces": exclude,
        "resources": resources,
        "selector": selector,
        "validate": gate and gate.value,
        "on_partial": on_partial and on_partial.value,
        "include_volumes": volumes,
    }
    body = _body(
        use_velero_backup=use_velero,
        backup=backup,
        timeout_seconds=job_timeout,
        labels=read_labels(labels),
        callback_url=callback_url,
    )
    submit(url, f"/instances/{name}/stop", body, timeout=timeout, detach=detach, as_json=as_json)


def start(
    name: Name,
    *,
    use_velero: UseVelero = None,
    mode: Annotated[RestoreMode, typer.Option(help="auto: decide by the cluster's identity.")] = RestoreMode.AUTO,
    backup: Annotated[str | None, typer.Option(metavar="ID", help="Not the newest proven backup but this one.")] = None,
    namespaces: Namespaces,
    resources: Resources,
    selector: Selector = "",
    existing: Annotated[ExistingPolicy, typer.Option(help="Objects that exist already.")] = ExistingPolicy.NONE,
    rerun_tasks: Annotated[
        RerunTasks | None, typer.Option(help="Whether tasks outside of services run once more.", show_default=False)
    ] = None,
    required: Annotated[bool, typer.Option("--required", help="Fail the job when the restore fails.")] = False,
    labels: Labels,
    callback_url: CallbackUrl = None,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Power an instance on and bring back what is not there any more."""
    restore = {
        "mode": None if mode is RestoreMode.AUTO else mode.value,
        "backup_id": backup,
        "namespaces": namespaces,
        "resources": resources,
        "selector": selector,
        "existing_resource_policy": None if existing is ExistingPolicy.NONE else existing.value,
        "rerun_tasks": rerun_tasks and rerun_tasks.value,
        "required": required or None,
    }
    body = _body(
        use_velero_backup=use_velero,
        restore=restore,
        timeout_seconds=job_timeout,
        labels=read_labels(labels),
        callback_url=callback_url,
    )
    submit(url, f"/instances/{name}/start", body, timeout=timeout, detach=detach, as_json=as_json)


def backup(
    name: Name,
    *,
    include: Namespaces,
    exclude: ExcludedNamespaces,
    resources: Resources,
    selector: Selector = "",
    gate: Gate = None,
    on_partial: Partial = None,
    volumes: Volumes = None,
    labels: Labels,
    callback_url: CallbackUrl = None,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Make a proven backup of a running instance."""
    wanted = {
        "include_namespaces": include,
        "exclude_namespaces": exclude,
        "resources": resources,
        "selector": selector,
        "validate": gate and gate.value,
        "on_partial": on_partial and on_partial.value,
        "include_volumes": volumes,
    }
    body = _body(backup=wanted, timeout_seconds=job_timeout, labels=read_labels(labels), callback_url=callback_url)
    submit(url, f"/instances/{name}/backups", body, timeout=timeout, detach=detach, as_json=as_json)


def restore(
    name: Name,
    *,
    backup: Annotated[str | None, typer.Option(metavar="ID", help="Not the newest proven backup but this one.")] = None,
    namespaces: Namespaces,
    resources: Resources,
    selector: Selector = "",
    existing: Annotated[ExistingPolicy, typer.Option(help="Objects that exist already.")] = ExistingPolicy.NONE,
    required: Annotated[bool, typer.Option("--required", help="Fail the job when the restore fails.")] = False,
    labels: Labels,
    callback_url: CallbackUrl = None,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Restore a backup, or a part of it, into a running instance."""
    wish = {
        "mode": RestoreMode.ALWAYS.value,
        "backup_id": backup,
        "namespaces": namespaces,
        "resources": resources,
        "selector": selector,
        "existing_resource_policy": None if existing is ExistingPolicy.NONE else existing.value,
        "required": required or None,
    }
    body = _body(restore=wish, timeout_seconds=job_timeout, labels=read_labels(labels), callback_url=callback_url)
    submit(url, f"/instances/{name}/restores", body, timeout=timeout, detach=detach, as_json=as_json)


def accept(
    name: Name,
    *,
    backup: Annotated[
        str | None, typer.Option(metavar="ID", help="Only if it is this one that is outstanding.", show_default=False)
    ] = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Give an outstanding restore up: go on with the instance as it is."""
    instance = ServiceClient(url).post(f"/instances/{name}/restore-outstanding/accept", _body(backup=backup))
    if as_json:
        print_json(instance)
    else:
        typer.echo(f"{name}: no restore is outstanding any more")


def stack(
    name: Name,
    action: Annotated[StackAction, typer.Argument(help="What to do.", show_default=False)],
    *,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Wake Velero and MinIO in the cluster, for work with the Velero CLI, or put them to sleep."""
    submit(url, f"/instances/{name}/stack/{action.value}", None, timeout=timeout, detach=detach, as_json=as_json)


def move_storage(
    name: Name,
    *,
    to: Annotated[StoreKind, typer.Option(help="The configured store, or MinIO in the cluster.")] = StoreKind.EXTERNAL,
    labels: Labels,
    callback_url: CallbackUrl = None,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Copy the proven backups into another store, prove them there, and use it from then on."""
    body = _body(to=to.value, timeout_seconds=job_timeout, labels=read_labels(labels), callback_url=callback_url)
    submit(url, f"/instances/{name}/move-storage", body, timeout=timeout, detach=detach, as_json=as_json)


def cancel(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="The job's id.", show_default=False)],
    *,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Ask a job to end at its next safe place; refused once the power-off has begun."""
    job = ServiceClient(url).post(f"/jobs/{job_id}/cancel")
    if as_json:
        print_json(job)
    else:
        typer.echo(f"Job {job['id']} is {job['status']}. Nothing is rolled back.")


def retry(
    job_id: Annotated[str, typer.Argument(metavar="JOB", help="A job that failed or was cancelled.")],
    *,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Submit the same operation again."""
    submit(url, f"/jobs/{job_id}/retry", None, timeout=timeout, detach=detach, as_json=as_json)


def submit(
    url: str, path: str, body: dict[str, Any] | None, *, timeout: float | None, detach: bool, as_json: bool
) -> None:
    """Submit an operation and follow its job to the end."""
    client = ServiceClient(url)
    follow_submitted(client, client.post(path, body), timeout=timeout, detach=detach, as_json=as_json)


def submit_delete(url: str, path: str, *, timeout: float | None, detach: bool, as_json: bool) -> None:
    """The same for an operation that is a DELETE."""
    client = ServiceClient(url)
    follow_submitted(client, client.delete(path), timeout=timeout, detach=detach, as_json=as_json)


def follow_submitted(client: ServiceClient, job: Job, *, timeout: float | None, detach: bool, as_json: bool) -> None:
    """Follow an accepted job to its end, or only say how that can be done."""
    if detach:
        print_json(job) if as_json else typer.echo(f"Job {job['id']}: kecs-state jobs {job['id']} --follow")
        return
    if not as_json:
        typer.echo(f"{job['type']} {job['instance_name']}: job {job['id']}")
    follow_to_end(client, job, timeout=timeout, as_json=as_json)


def follow_to_end(client: ServiceClient, job: Job, *, timeout: float | None, as_json: bool) -> None:
    """Show a job while it runs and how it ended; ends the command with the matching exit code."""
    job = follow(client, job, timeout_seconds=timeout, showing=silence() if as_json else terminal())
    if as_json:
        print_json(job)
    else:
        print_job_end(job)
    if job["status"] != "succeeded" and job["error"] is not None and not as_json:
        raise CommandError.of_problem(job["error"])
    if job["status"] != "succeeded":
        raise typer.Exit(Exit.FAILED)
    if job["warnings"]:
        raise typer.Exit(Exit.DONE_WITH_WARNINGS)


def read_labels(pairs: list[str]) -> dict[str, str]:
    """``KEY=VALUE`` options as a mapping."""
    labels = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not key or not equals:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--label")
        labels[key] = value
    return labels


def _body(**fields: Any) -> dict[str, Any] | None:
    """Only what was asked for, so that the service's defaults stay its own; None when that is nothing."""
    cleaned = {key: _body(**value) if isinstance(value, dict) else value for key, value in fields.items()}
    return {key: value for key, value in cleaned.items() if value or value is False} or None
