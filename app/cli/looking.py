"""Commands that only look."""

from typing import Annotated, Any

import typer

from app.cli.client import DEFAULT_URL, ServiceClient
from app.cli.errors import CommandError, Exit
from app.cli.following import ENDED
from app.cli.operations import follow_to_end
from app.cli.options import AsJson, Name, Timeout, Url
from app.cli.printing import print_job_end, print_json, print_table, proof_lines, seconds_between, size

Document = dict[str, Any]


def status(
    name: Annotated[str | None, typer.Argument(help="One instance instead of all.", show_default=False)] = None,
    *,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show the instances, or one of them."""
    client = ServiceClient(url)
    document = client.get(f"/instances/{name}" if name else "/instances")
    if as_json:
        print_json(document)
    elif name:
        _print_instance(document)
    else:
        rows = [
            (i["name"], i["state"], i["last_proven_backup"], size(i["storage_bytes"]), _remark(i))
            for i in document["instances"]
        ]
        print_table(("NAME", "STATE", "LAST PROVEN BACKUP", "STORAGE", ""), rows)


def _remark(instance: Document) -> str:
    if instance["restore_outstanding"]:
        return f"restore of {instance['restore_outstanding']['backup']} outstanding"
    return f"job {instance['active_job']} is active" if instance["active_job"] else ""


def _print_instance(instance: Document) -> None:
    typer.echo(f"{instance['name']} is {instance['state']}" + (f": {instance['detail']}" if instance["detail"] else ""))
    rows = [
        ("instance id", instance["instance_id"]),
        ("cluster UID", instance["cluster_uid"]),
        ("last proven backup", instance["last_proven_backup"]),
        ("proven at", instance["last_proven_at"]),
        ("stopped with", instance["stopped_with"]),
        ("storage", size(instance["storage_bytes"])),
        ("active job", instance["active_job"]),
    ]
    for label, value in rows:
        typer.echo(f"  {label:<19} {'-' if value is None else value}")
    if outstanding := instance["restore_outstanding"]:
        typer.echo(f"  A restore of {outstanding['backup']} is outstanding. Ways out:")
        for way in outstanding["ways_out"]:
            typer.echo(f"    {way}")


def jobs(
    job_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One job.", show_default=False)] = None,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Show the job until it has ended.")] = False,
    instance: Annotated[str | None, typer.Option(help="Only jobs of this instance.")] = None,
    with_status: Annotated[str | None, typer.Option("--status", help="Only jobs with this status.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most this many.")] = 20,
    timeout: Timeout = None,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show the newest jobs, or one of them; with --follow, look on until it has ended."""
    client = ServiceClient(url)
    if job_id is None:
        if follow:
            raise typer.BadParameter("--follow needs the id of a job")
        _print_jobs(client.get("/jobs", instance=instance, status=with_status, page_size=limit), as_json=as_json)
        return
    job = client.get(f"/jobs/{job_id}")
    if follow:
        follow_to_end(client, job, timeout=timeout, as_json=as_json)
    elif as_json:
        print_json(job)
    else:
        print_job_end(job)
        if job["status"] not in ENDED:
            typer.echo(f"  now          {job['step'] or 'waiting for its turn'}")
        if job["error"]:
            typer.echo(f"  {CommandError.of_problem(job['error'])}")


def _print_jobs(page: Document, *, as_json: bool) -> None:
    if as_json:
        print_json(page)
        return
    rows = []
    for job in page["jobs"]:
        took = seconds_between(job["created_at"], job["finished_at"])
        seconds = f"{took:.1f} s" if took is not None else job["step"]
        rows.append((job["id"], job["type"], job["instance_name"], job["status"], job["created_at"][:19], seconds))
    print_table(("ID", "TYPE", "INSTANCE", "STATUS", "CREATED (UTC)", "TOOK"), rows)


def backups(
    name: Name,
    backup_id: Annotated[str | None, typer.Argument(metavar="[ID]", help="One backup.", show_default=False)] = None,
    *,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Show the backups of an instance, or one of them with its proof."""
    client = ServiceClient(url)
    document = client.get(f"/instances/{name}/backups" + (f"/{backup_id}" if backup_id else ""))
    if as_json:
        print_json(document)
    elif backup_id:
        _print_backup(document)
    else:
        rows = [
            (b["id"], b["status"], b["scope"], b["items"], size(b["size_bytes"]), b["created_at"][:19])
            for b in document["backups"]
        ]
        print_table(("ID", "STATUS", "SCOPE", "ITEMS", "SIZE", "CREATED (UTC)"), rows)


def _print_backup(backup: Document) -> None:
    typer.echo(f"{backup['id']}: {backup['status']}, {backup['scope']}, {size(backup['size_bytes']) or 'size unknown'}")
    proof = backup["proof"]
    if proof is None:
        typer.echo("  never proven on this host")
        return
    summary = proof | {
        "objects_hashed": len(proof["objects"]),
        "seconds": seconds_between(proof["started_at"], proof["finished_at"]),
        "canary": proof["canary"]["status"],
        "sha256": {stored["key"].rsplit("/", 1)[-1]: stored["sha256"] for stored in proof["objects"]},
    }
    for line in proof_lines(summary, None):
        typer.echo(f"  {line}")
    for finding in proof["findings"]:
        typer.echo(f"  ! {finding['code']}: {finding['detail']}")


def ready(*, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Say whether the service can do its work, check by check. Exits 1 if it cannot."""
    readiness = ServiceClient(url).readiness()
    if as_json:
        print_json(readiness)
    else:
        typer.echo("ready" if readiness["ready"] else "NOT ready")
        _print_service_checks(readiness)
    if not readiness["ready"]:
        raise typer.Exit(Exit.FAILED)


def doctor(
    name: Annotated[str | None, typer.Argument(help="One instance instead of all.", show_default=False)] = None,
    *,
    as_json: AsJson = False,
    url: Url = DEFAULT_URL,
) -> None:
    """Look for what may go wrong here, with remedies; changes nothing. Exits 1 if anything is wrong."""
    document = ServiceClient(url).get("/doctor", instance=name)
    if as_json:
        print_json(document)
    else:
        typer.echo("this machine")
        _print_service_checks(document["service"])
        for instance in document["instances"]:
            typer.echo(f"{instance['instance_name']} is {instance['state']}")
            for check in instance["checks"]:
                _print_check(check)
    refused = any(check["outcome"] == "refused" for instance in document["instances"] for check in instance["checks"])
    if refused or not document["service"]["ready"]:
        raise typer.Exit(Exit.FAILED)


def _print_service_checks(readiness: Document) -> None:
    for check in readiness["checks"]:
        _print_check(check | {"outcome": "ok" if check["ok"] else "failed" if check["needed"] else "warns"})


def _print_check(check: Document) -> None:
    typer.echo(f"  {check['outcome']:<8} {check['name']:<24} {check['detail']}".rstrip())
    if check["remedy"] and check["outcome"] != "ok":
        typer.echo(f"           {check['remedy']}")


def preflight(name: Name, *, as_json: AsJson = False, url: Url = DEFAULT_URL) -> None:
    """Show what a stop would refuse or lose now; changes nothing. Exits 1 if a stop would be refused."""
    view = ServiceClient(url).get(f"/instances/{name}/preflight")
    if as_json:
        print_json(view)
    else:
        _print_preflight(view)
    if not view["would_stop"]:
        raise typer.Exit(Exit.FAILED)


def _print_preflight(view: Document) -> None:
    verdict = "would go ahead" if view["would_stop"] else "would be REFUSED"
    objects = f"; a backup would take {view['objects']} objects" if view["objects"] is not None else ""
    typer.echo(f"{view['instance_name']} is {view['state']}; a stop {verdict}{objects}")
    for check in view["checks"]:
        _print_check(check)
    if view["not_saved"]:
        typer.echo("Would not be saved:")
        for entry in view["not_saved"]:
            typer.echo(f"  {entry['kind']} {entry['name']}: {entry['reason']}")
