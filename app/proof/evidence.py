"""Proofs on the host: ``<instance>/proofs/<backup>/``, durable before the database hears of them."""

import logging
import shutil
from pathlib import Path

from pydantic import ValidationError

from app.host.files import HostDirectoryError, is_directory
from app.host.instance_directory import InstanceDirectory
from app.proof.models import Proof

PROOF_FILE = "proof.json"
PIN_FILE = "pinned"
log = logging.getLogger(__name__)


def save_proof(directory: InstanceDirectory, proof: Proof, small_objects: dict[str, bytes]) -> None:
    """Write a proof and the backup's small objects, the proof last: where it lies, the rest lies too."""
    folder = _folder(directory, proof.backup)
    directory.make(folder)
    for name, content in small_objects.items():
        directory.write(folder / name, content)
    directory.write(folder / PROOF_FILE, proof.model_dump_json(indent=1).encode())


def find_proof(directory: InstanceDirectory, backup: str) -> Proof | None:
    """The proof of a backup, or None if none was ever made here; raises ``HostDirectoryError`` for a broken one."""
    path = _folder(directory, backup) / PROOF_FILE
    content = directory.read(path)
    if content is None:
        return None
    try:
        return Proof.model_validate_json(content)
    except ValidationError as error:
        raise HostDirectoryError(
            f"{path} is not readable: {error.errors(include_input=False)[0]['msg']}",
            remedy="Move the file away: the backup then counts as unproven.",
            path=str(path),
        ) from error


def names_with_evidence(directory: InstanceDirectory) -> list[str]:
    """The backups of which anything is kept here, whatever it is."""
    if not directory.exists() or not is_directory(directory.proofs_directory, below=directory.path):
        return []
    return sorted(folder.name for folder in directory.proofs_directory.iterdir())


def list_proofs(directory: InstanceDirectory) -> list[Proof]:
    """Every readable proof, newest first, so that a lost database can be rebuilt; broken ones are only logged."""
    proofs = []
    for name in names_with_evidence(directory):
        try:
            proof = find_proof(directory, name)
        except HostDirectoryError as error:
            log.warning("a proof is left out: %s", error.detail, extra={"action": "list-proofs"})
            continue
        if proof is not None:
            proofs.append(proof)
    return sorted(proofs, key=lambda proof: proof.finished_at, reverse=True)


def small_object(directory: InstanceDirectory, backup: str, name: str) -> bytes | None:
    """One of the backup's small objects as kept at proof time."""
    if "/" in name or name.startswith("."):
        raise HostDirectoryError(f"{name!r} cannot be the name of a kept object")
    return directory.read(_folder(directory, backup) / name)


def save_pin(directory: InstanceDirectory, backup: str, *, pinned: bool) -> None:
    """A pin outlives the database, as the proof does."""
    folder = _folder(directory, backup)
    if pinned:
        directory.make(folder)
        directory.write(folder / PIN_FILE, b"")
    elif is_pinned(directory, backup):
        (folder / PIN_FILE).unlink()


def is_pinned(directory: InstanceDirectory, backup: str) -> bool:
    """Whether a backup was pinned on this host."""
    return directory.read(_folder(directory, backup) / PIN_FILE) is not None


def delete_proof(directory: InstanceDirectory, backup: str) -> None:
    """Remove a deleted backup's evidence; already gone is success, a link is left alone."""
    folder = _folder(directory, backup)
    if directory.exists() and is_directory(folder, below=directory.path):
        shutil.rmtree(folder)


def _folder(directory: InstanceDirectory, backup: str) -> Path:
    if "/" in backup or backup.startswith(".") or not backup:
        raise HostDirectoryError(f"{backup!r} cannot be a backup's name")
    return directory.proofs_directory / backup
