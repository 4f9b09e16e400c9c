"""Commands for one backup: check it, read what Velero said of it, keep it or delete it."""

from typing import Annotated

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.operations import submit, submit_delete
from app.cli.options import AsJson, Detach, JobTimeout, Level, Name, Timeout, Url
from app.cli.printing import print_json, print_table

BackupId = Annotated[str, typer.Argument(metavar="BACKUP", help="The backup's id.", show_default=False)]


def validate(
    name: Name,
    backup_id: BackupId,
    *,
    level: Annotated[Level, typer.Option(help="quick: names and sizes. deep: every byte.")] = Level.DEEP,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Check that a backup is still what was proven; the instance must run."""
    body: dict[str, object] = {"level": level.value}
    if job_timeout is not None:
        body["timeout_seconds"] = job_timeout
    submit(url, f"{_path(name, backup_id)}/validate", body, timeout=timeout, detach=detach, as_json=as_json)


def rebuild(
    name: Name,
    *,
    job_timeout: JobTimeout = None,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """List the backups anew from the proofs on this host and from the bucket; the instance must run."""
    body: dict[str, object] = {} if job_timeout is None else {"timeout_seconds": job_timeout}
    submit(url, f"/instances/{name}/rebuild", body or None, timeout=timeout, detach=detach, as_json=as_json)


def delete(
    name: Name,
    backup_id: BackupId,
    *,
    force: Annotated[bool, typer.Option("--force", help="Even the last good one.")] = False,
    timeout: Timeout = None,
    detach: Detach = False,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Delete a backup for good; the instance must run."""
    path = _path(name, backup_id) + ("?force=true" if force else "")
    submit_delete(url, path, timeout=timeout, detach=detach, as_json=as_json)


def pin(name: Name, backup_id: BackupId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Keep a backup whatever comes after it."""
    _print_pin(ServiceClient(url).put(f"{_path(name, backup_id)}/pin"), as_json=as_json)


def unpin(name: Name, backup_id: BackupId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Let a backup go when newer ones are enough."""
    _print_pin(ServiceClient(url).delete(f"{_path(name, backup_id)}/pin"), as_json=as_json)


def _print_pin(backup: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        print_json(backup)
    else:
        typer.echo(f"{backup['id']} is {'pinned' if backup['pinned'] else 'not pinned'}")


def logs(name: Name, backup_id: BackupId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Print Velero's log of a backup, as kept on this host."""
    text = ServiceClient(url).text(f"{_path(name, backup_id)}/logs")
    if as_json:
        print_json(text.splitlines())
    else:
        typer.echo(text, nl=False)


def results(name: Name, backup_id: BackupId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Print Velero's errors and warnings of a backup, as kept on this host."""
    document = ServiceClient(url).get(f"{_path(name, backup_id)}/results")
    if as_json:
        print_json(document)
        return
    found = [(kind, where, text) for kind, by_place in document.items() for where, text in _told(by_place)]
    for kind, where, text in found:
        typer.echo(f"{kind} {where}: {text}")
    if not found:
        typer.echo("neither errors nor warnings")


def _told(by_place: dict[str, object]) -> list[tuple[str, str]]:
    """Velero lists what it says by ``velero``, ``cluster`` and, one level deeper, by namespace."""
    told: list[tuple[str, str]] = []
    for place, entries in by_place.items():
        if isinstance(entries, dict):
            told += _told(entries)
        elif isinstance(entries, list):
            told += [(place, str(entry)) for entry in entries]
    return told


def contents(name: Name, backup_id: BackupId, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """List what a backup holds, as kept on this host."""
    document = ServiceClient(url).get(f"{_path(name, backup_id)}/contents")
    if as_json:
        print_json(document)
    else:
        print_table(("KIND", "OBJECT"), [(kind, entry) for kind, entries in document.items() for entry in entries])


def _path(name: str, backup_id: str) -> str:
    return f"/instances/{name}/backups/{backup_id}"
