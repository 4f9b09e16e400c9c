"""The gate: a backup is proven, kept as evidence on the host, and only then recorded."""

from pathlib import Path

from app.errors import ProofFailed
from app.jobs.journal import Journal
from app.jobs.models import BackupRecord
from app.proof.evidence import save_proof
from app.proof.models import Inventory, Proof
from app.proof.prove import ProofRequest
from app.proof.prove import prove_backup as prove
from app.velero.scope import Scope
from app.workflows.outcomes import BackupRef, Identity, Preparation, ProofSummary
from app.workflows.stack import storage_record
from app.workflows.world import InstanceSession

#: Findings carried by the problem; the rest is counted and lies in ``proof.json``.
MOST_FINDINGS = 20


async def prove_backup(
    session: InstanceSession,
    journal: Journal,
    ref: BackupRef,
    inventory: Inventory,
    prepared: Preparation,
    identity: Identity,
) -> ProofSummary:
    """Prove a backup against its inventory; the evidence lies on the host, fsynced, before the row says so.

    Raises ``ProofFailed`` naming what is missing or damaged; the failed proof is kept as evidence too.
    """
    storage = await storage_record(session)
    request = ProofRequest(
        backup=ref.name,
        backup_uid=ref.uid,
        instance_id=identity.instance_id,
        cluster_uid=identity.cluster_uid,
        inventory=inventory,
        full=prepared.scope.full,
        host_directory=Path(storage.host_path),
        not_saved=[f"{entry.kind} {entry.name}: {entry.reason}" for entry in prepared.not_saved],
    )
    proof, small_objects = await prove(request, await session.kube(), await session.objects())
    save_proof(session.directory, proof, small_objects)
    if proof.verdict != "proven":
        raise proof_failed(proof)
    await session.world.store.save_backup(
        backup_record(session, journal, ref, status="proven", scope=proof.scope, proof=proof)
    )
    return ProofSummary.of(proof)


def proof_failed(proof: Proof) -> ProofFailed:
    """The problem of a failed proof: what was found, the first twenty by name."""
    first = proof.findings[0].detail if proof.findings else "no finding was recorded"
    more = f" (and {proof.findings_total - 1} more)" if proof.findings_total > 1 else ""
    return ProofFailed(
        f"backup {proof.backup!r} is not good: {first}{more}; the cluster runs on",
        remedy="Stop again to make a new backup. If it fails again, look at the stack's logs and disk.",
        backup=proof.backup,
        findings=[finding.model_dump(mode="json") for finding in proof.findings[:MOST_FINDINGS]],
        findings_total=proof.findings_total,
    )


async def record_try(session: InstanceSession, journal: Journal, ref: BackupRef, scope: Scope) -> None:
    """The row of a backup that is not proven yet, so that nothing in the bucket is ever forgotten."""
    kind = "full" if scope.full else "partial"
    await session.world.store.save_backup(backup_record(session, journal, ref, status="unproven", scope=kind))


def backup_record(
    session: InstanceSession, journal: Journal, ref: BackupRef, *, status: str, scope: str, proof: Proof | None = None
) -> BackupRecord:
    """A row, with the proof's figures where there is one."""
    return BackupRecord(
        host=session.world.store.host,
        instance=session.instance,
        name=ref.name,
        instance_id=session.instance_id,
        job_id=journal.job.id,
        scope=scope,
        status=status,
        created_at=ref.created_at,
        size_bytes=proof.size_bytes if proof else None,
        items=proof.items_in_backup if proof else None,
        seconds=(proof.finished_at - ref.created_at).total_seconds() if proof else None,
        proven_at=proof.finished_at if proof else None,
        proof=ProofSummary.of(proof).model_dump(mode="json") if proof else None,
    )
