"""Looking at a backup again: is it still what was proven, or, without a proof, can it be read at all?"""

from typing import Any, Literal

from app.errors import BackupDamaged
from app.jobs.journal import Journal
from app.proof.evidence import find_proof
from app.proof.examine import Examination, examine, look_quickly, rehashed
from app.proof.models import Finding
from app.workflows.outcomes import Outcome
from app.workflows.power import read_power, require_running
from app.workflows.requests import ValidateJob
from app.workflows.stack import wake_stack
from app.workflows.world import InstanceSession

#: Findings carried by the problem; all of them are counted.
MOST_FINDINGS = 20


class ValidateResult(Outcome):
    """What a good backup was held against, and how much of it was read."""

    backup: str
    level: Literal["quick", "deep"]
    against: Literal["proof", "itself"]
    """``itself``: no proof lies on this host, so it can be read, but nobody knows what it should hold."""
    objects: int
    size_bytes: int
    items: int | None = None


async def validate_backup(request: ValidateJob, session: InstanceSession, journal: Journal) -> ValidateResult:
    """Hold a backup against its proof; damage fails the job, and the backup does not count as proven any more."""
    require_running(session, await read_power(session))
    await journal.step(wake_stack, session, journal)
    await journal.record(backup=request.backup)
    found = await journal.step(examine_backup, session, journal, request.backup, request.level)
    if found.findings:
        await journal.step(note_damage, session, request.backup)
        raise damaged(request.backup, found.findings)
    against: Literal["proof", "itself"] = "proof" if found.proven else "itself"
    return ValidateResult(
        backup=request.backup,
        level=request.level,
        against=against,
        objects=found.objects,
        size_bytes=found.size_bytes,
        items=found.items,
    )


async def examine_backup(
    session: InstanceSession, journal: Journal, backup: str, level: Literal["quick", "deep"]
) -> Examination:
    """Names and sizes, or every byte."""
    store, proof = await session.objects(), find_proof(session.directory, backup)
    proof = proof if proof is not None and proof.verdict == "proven" else None

    async def report(done: int, total: int) -> None:
        await journal.progress("reading the backup", bytes_done=done, bytes_total=total)

    if level == "quick":
        return await look_quickly(backup, proof, store)
    if proof is not None:
        return await rehashed(proof, store, report)
    return await examine(backup, store, report)


async def note_damage(session: InstanceSession, backup: str) -> None:
    """Let a damaged backup be chosen no more by itself. It is not deleted: a part of it may be all there is."""
    record = await session.world.store.backups.find(session.instance, backup)
    if record is not None and record.status in {"proven", "accepted"}:
        record.status = "unproven"
        await session.world.store.backups.save(record)


def damaged(backup: str, findings: list[Finding]) -> BackupDamaged:
    """The problem of a damaged backup: what was found, the first twenty by name."""
    more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
    listed: list[dict[str, Any]] = [finding.model_dump(mode="json") for finding in findings[:MOST_FINDINGS]]
    return BackupDamaged(
        f"backup {backup!r} is damaged: {findings[0].detail}{more}",
        remedy="Make a new one while the instance runs. Look at the disk that holds the instance's data.",
        backup=backup,
        findings=listed,
        findings_total=len(findings),
    )
