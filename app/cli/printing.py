"""What the commands print for people: tables, sizes, and how a job ended."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import typer

#: Longer lists are cut here; `--json` has all of it.
MOST_LISTED = 20
Document = dict[str, Any]


def print_json(document: Any) -> None:
    """The document, for programs."""
    typer.echo(json.dumps(document, indent=2))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Aligned columns; None is a dash."""
    cells = [list(headings), *[["-" if value is None else str(value) for value in row] for row in rows]]
    widths = [max(len(row[column]) for row in cells) for column in range(len(headings))]
    for row in cells:
        typer.echo("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def size(count: int | None) -> str | None:
    """Bytes as people read them."""
    if count is None:
        return None
    value = float(count)
    for unit in ("B", "KiB", "MiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} GiB"


def seconds_between(earlier: str | None, later: str | None) -> float | None:
    """Seconds from one time of a document to another."""
    if earlier is None or later is None:
        return None
    return (datetime.fromisoformat(later) - datetime.fromisoformat(earlier)).total_seconds()


def print_job_end(job: Document) -> None:
    """How a job ended, its proof, and what the user should know."""
    took = seconds_between(job["created_at"], job["finished_at"])
    typer.echo(f"{job['type']} {job['instance_name']}: {job['status']}" + (f" in {took:.1f} s" if took else ""))
    result = job["result"] or {}
    for line in _move_lines(result) if result.get("target") else _result_lines(job, result):
        typer.echo(f"  {line}")
    for warning in job["warnings"]:
        typer.echo(f"  ! {warning['code']}: {warning['detail']}")


def _result_lines(job: Document, result: Document) -> Iterator[str]:
    if "protected" in result:
        yield f"protected    {'yes, by ' + result['backup'] if result['protected'] else 'NO (unprotected)'}"
    elif result.get("backup"):
        yield f"backup       {result['backup']}"
    if result.get("action"):
        yield f"action       {result['action']}"
    if result.get("reason"):
        yield f"because      {result['reason']}"
    if result.get("proof"):
        yield from proof_lines(result["proof"], job["finished_at"])
    if result.get("s3_url"):
        yield f"MinIO        {result['s3_url']} on this machine, until the stack sleeps; the Velero CLI uses it"
    for part, lines in _PARTS.items():
        if result.get(part):
            yield from lines(result[part])
    if result.get("restore_outstanding"):
        yield f"OUTSTANDING  the restore of {result['restore_outstanding']} is still due"
    yield from _result_lists(result)


def _result_lists(result: Document) -> Iterator[str]:
    changes = [f"{change['object']} ({change['change']})" for change in result.get("changed_since_backup", [])]
    yield from listed("changed since the backup", changes)
    left_out = [f"{entry['kind']} {entry['name']}: {entry['reason']}" for entry in result.get("not_saved", [])]
    yield from listed("not saved", left_out)
    for fate in ("pruned", "proven", "accepted", "unproven", "gone"):
        yield from listed(fate, result.get(fate, []))


def _move_lines(result: Document) -> Iterator[str]:
    yield f"backups lie  in {result['target']}"
    yield from listed("moved", result["moved"])
    yield from listed("left behind, not proven", result["left_behind"])
    if result["note"]:
        yield f"note         {result['note']}"


def proof_lines(proof: Document, seen_at: str | None) -> Iterator[str]:
    """The figures of a proof summary and how old it was at ``seen_at``."""
    if proof.get("level") == "quick":
        yield f"proof        {proof['verdict']}: {size(proof['size_bytes'])} by name and size, none of it read"
        return
    age = seconds_between(proof["finished_at"], seen_at)
    yield (
        f"proof        {proof['verdict']}: {proof['objects_hashed']} objects, {size(proof['size_bytes'])} "
        f"read and hashed in {proof['seconds']:.1f} s"
    )
    yield (
        f"             {proof['items_in_backup']} items in the backup, {proof['items_in_inventory']} in the inventory, "
        f"{proof['items_explained']} gone meanwhile"
    )
    yield f"             canary on the host's disk: {proof['canary']}" + (
        f"; age {age:.1f} s" if age is not None else ""
    )
    for flaw in proof.get("accepted", []):
        yield f"             put up with: {flaw}"
    if proof.get("volumes_saved"):
        yield (
            f"             volumes: {proof['volumes_saved']} saved with {size(proof['volumes_size_bytes'])}, "
            f"of which {size(proof['volumes_uploaded_bytes'])} were new"
        )
    for name, digest in sorted(proof.get("sha256", {}).items()):
        yield f"             sha256 {digest[:16]}…  {name}"


def _kecs_lines(restored: Document) -> Iterator[str]:
    count, seconds = len(restored["brought_back"]), restored["seconds"]
    yield f"by KECS      {count} brought back by its own restoration in {seconds:.1f} s"
    yield from listed("MISSING", restored["missing"])


def _checked_lines(checked: Document) -> Iterator[str]:
    yield f"KECS tells   of {checked['covered'] + len(checked['missing'])}; {checked['covered']} are in the backup"
    yield from listed("NOT IN THE BACKUP", checked["missing"])
    yield from listed("only in the backup", checked["extra"])


def _restored_lines(restored: Document) -> Iterator[str]:
    comparison = restored["comparison"]
    if comparison is None:
        yield f"restored     nothing: all {restored['looked_for']} objects of the backup are there"
    else:
        yield from _compared_lines(restored, comparison)
    back = [each for each in restored.get("volumes", []) if each["outcome"] == "restored"]
    yield from listed(
        "volumes with their data", [f"{each['namespace']}/{each['pod']}:{each['volume']}" for each in back]
    )
    yield from listed("tasks to run again", restored.get("rerun_tasks", []))
    yield from listed("tasks not run again", restored.get("tasks_not_run", []))
    yield from listed("duplicates by KECS of tasks that are back", restored.get("duplicate_tasks", []))
    yield from listed("overwritten", restored.get("overwritten", []))
    yield from listed("workloads not ready", restored.get("workloads_not_ready", []))
    yield from listed("webhooks left out", restored.get("webhooks_left_out", []))


def _compared_lines(restored: Document, comparison: Document) -> Iterator[str]:
    yield (
        f"restored     {restored['created']} created; compared {comparison['compared']}, equal {comparison['equal']}, "
        f"missing {len(comparison['missing'])}, differing {len(comparison['differing'])}, "
        f"not restorable {len(comparison['not_restorable'])}"
    )
    yield from listed("MISSING", comparison["missing"])
    yield from listed("differing", [entry["object"] for entry in comparison["differing"]])


def listed(title: str, entries: Sequence[str]) -> Iterator[str]:
    """A heading with the number of entries, and the first of them; nothing where there is none."""
    if not entries:
        return
    yield f"{title} ({len(entries)}):"
    for entry in entries[:MOST_LISTED]:
        yield f"  {entry}"
    if len(entries) > MOST_LISTED:
        yield f"  … and {len(entries) - MOST_LISTED} more (--json shows all)"


_PARTS = {"restored": _restored_lines, "kecs_restored": _kecs_lines, "checked": _checked_lines}
