"""The gate: a backup is proven, kept as evidence on the host, and only then recorded."""

import asyncio
from pathlib import Path

from app.errors import ProofFailed
from app.host.config import StorageRecord
from app.jobs.journal import Journal
from app.proof.evidence import save_proof
from app.proof.models import Inventory, Proof
from app.proof.prove import ProofRequest, look_at_backup
from app.proof.prove import prove_backup as prove
from app.workflows.outcomes import BackupRef, Identity, Preparation, ProofSummary
from app.workflows.policies import Rules
from app.workflows.records import record_of_proof
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
    gate: Rules,
) -> ProofSummary:
    """Prove a backup against its inventory; the evidence lies on the host, fsynced, before the row says so.

    Where the rules say ``quick``, it is only looked at. Raises ``ProofFailed`` naming what is missing or damaged; the
    failed proof is kept as evidence too.
    """
    storage = await storage_record(session)
    request = ProofRequest(
        backup=ref.name,
        backup_uid=ref.uid,
        instance_id=identity.instance_id,
        cluster_uid=identity.cluster_uid,
        inventory=inventory,
        full=prepared.scope.full,
        host_directory=Path(storage.host_path) if isinstance(storage, StorageRecord) else None,
        encrypted=session.rules().encryption == "at-rest",
        not_saved=[f"{entry.kind} {entry.name}: {entry.reason}" for entry in prepared.not_saved],
        accept_partial=gate.on_partial == "accept",
        volumes=prepared.volumes,
    )

    async def report(done: int, total: int) -> None:
        await journal.progress("reading the backup", bytes_done=done, bytes_total=total)

    small_objects: dict[str, bytes] = {}
    if gate.validate_level == "quick":
        proof = await look_at_backup(request, await session.objects())
    else:
        proof, small_objects = await prove(request, await session.kube(), await session.objects(), report)
    # A dozen files, each waiting for the disk.
    await asyncio.to_thread(save_proof, session.directory, proof, small_objects)
    if proof.verdict == "failed":
        raise proof_failed(proof)
    record = record_of_proof(session.world, session.instance, proof, created_at=ref.created_at, job_id=journal.job.id)
    await session.world.store.backups.save(record)
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
