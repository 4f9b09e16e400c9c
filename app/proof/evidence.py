"""Proofs on the host: ``<instance>/proofs/<backup>/``, durable before the database hears of them."""

import shutil
from pathlib import Path

from pydantic import ValidationError

from app.host.files import HostDirectoryError, make_private_directory, read_private, write_private
from app.host.instance_directory import InstanceDirectory
from app.proof.models import Proof

PROOF_FILE = "proof.json"


def save_proof(directory: InstanceDirectory, proof: Proof, small_objects: dict[str, bytes]) -> None:
    """Write a proof and the backup's small objects, the proof last: where it lies, the rest lies too."""
    folder = _folder(directory, proof.backup)
    make_private_directory(directory.proofs_directory)
    make_private_directory(folder)
    for name, content in small_objects.items():
        write_private(folder / name, content)
    write_private(folder / PROOF_FILE, proof.model_dump_json(indent=1).encode())


def find_proof(directory: InstanceDirectory, backup: str) -> Proof | None:
    """The proof of a backup, or None if none was ever made here."""
    path = _folder(directory, backup) / PROOF_FILE
    content = read_private(path) if path.parent.is_dir() else None
    if content is None:
        return None
    try:
        return Proof.model_validate_json(content)
    except ValidationError as error:
        raise HostDirectoryError(f"{path} is not readable: {error.errors()[0]['msg']}") from error


def small_object(directory: InstanceDirectory, backup: str, name: str) -> bytes | None:
    """One of the backup's small objects as kept at proof time."""
    folder = _folder(directory, backup)
    return read_private(folder / name) if folder.is_dir() else None


def delete_proof(directory: InstanceDirectory, backup: str) -> None:
    """Remove a deleted backup's evidence; already gone is success."""
    folder = _folder(directory, backup)
    if folder.is_dir() and not folder.is_symlink():
        shutil.rmtree(folder)


def _folder(directory: InstanceDirectory, backup: str) -> Path:
    if "/" in backup or backup.startswith("."):
        raise HostDirectoryError(f"{backup!r} cannot be a backup's name")
    return directory.proofs_directory / backup
