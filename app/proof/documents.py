"""What a backup's own small objects say of it: whose it is, how it ended, and what became of its volumes."""

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from app import phases
from app.documents import MOST_UNPACKED_BYTES, read_json
from app.proof.archive import CHUNK_BYTES, Archive
from app.proof.models import Finding
from app.proof.stored import StoredBackup
from app.storage import layout

#: Characters of Velero's messages quoted in a finding.
MOST_QUOTED = 300


def check_metadata(backup: StoredBackup, uid: str | None) -> list[Finding]:
    """The bucket's own Backup object: another cluster will know this backup only by it."""
    path = backup.files.get(layout.metadata_key(backup.name))
    if path is None:
        return [Finding(code="missing", detail="velero-backup.json is not in the bucket")]
    return judge_metadata(path.read_bytes(), backup.name, uid)


def judge_metadata(content: bytes, name: str, uid: str | None = None) -> list[Finding]:
    """What a ``velero-backup.json`` says; without a ``uid`` it may be any backup of that name."""
    try:
        document = read_json(content)
        phase = document["status"]["phase"]
        named = (document["metadata"]["name"], document["metadata"]["uid"])
    except (ValueError, KeyError, TypeError):
        return [Finding(code="metadata", detail="velero-backup.json is not a Backup")]
    findings = []
    if phase != phases.COMPLETED:
        detail = f"the bucket says the backup is {str(phase)[:MOST_QUOTED]}, not {phases.COMPLETED}"
        findings.append(Finding(code="phase", detail=detail))
    if named != (name, uid or named[1]):
        findings.append(Finding(code="identity", detail="velero-backup.json belongs to another backup"))
    return findings


def check_results(backup: StoredBackup) -> tuple[list[Finding], int]:
    """Findings for errors Velero noted, and the number of its warnings."""
    results = backup.document(layout.results_key(backup.name))
    if results is None:
        return [], 0  # the finding is there already
    if not isinstance(results, dict):
        return [Finding(code="results", detail="the results are not those of a backup")], 0
    errors = list(messages(results.get("errors")))
    findings = []
    if errors:
        detail = f"Velero noted {len(errors)} errors, the first: {errors[0][:MOST_QUOTED]}"
        findings.append(Finding(code="results", detail=detail))
    return findings, len(list(messages(results.get("warnings"))))


def check_volumes(backup: StoredBackup) -> list[Finding]:
    """Every volume backup has completed, and what is said to be saved as one is one."""
    volume_backups = _mappings(backup.document(layout.pod_volume_backups_key(backup.name)))
    volumes = _mappings(backup.document(layout.volume_info_key(backup.name)))
    if volume_backups is None or volumes is None:
        return [Finding(code="volumes", detail="the lists of volumes cannot be understood")]
    findings = []
    for each in volume_backups:
        phase, name = (each.get("status") or {}).get("phase"), (each.get("metadata") or {}).get("name")
        if phase != phases.COMPLETED:
            findings.append(Finding(code="volumes", detail=f"the volume backup {name} is {phase or 'unfinished'}"))
    saved = [volume for volume in volumes if not volume.get("skipped")]
    findings += [
        Finding(code="volumes", detail=f"the volume {_volume_name(volume)} was not saved: it failed")
        for volume in saved
        if volume.get("result") == "failed"
    ]
    by_file = sum(volume.get("backupMethod") == "PodVolumeBackup" for volume in saved)
    if by_file > len(volume_backups):
        detail = f"{by_file} volumes are said to be saved file by file, but there are {len(volume_backups)} backups"
        findings.append(Finding(code="volumes", detail=f"{detail} of volumes"))
    return findings


def check_resource_list(backup: StoredBackup, archive: Archive | None) -> list[Finding]:
    """Velero's own list of what it has saved, held against what the archive holds."""
    listed = backup.document(layout.resource_list_key(backup.name))
    if listed is None:
        return []  # the finding is there already
    if not isinstance(listed, dict) or not all(isinstance(names, list) for names in listed.values()):
        return [Finding(code="contents", detail="the list of resources is not that of a backup")]
    if archive is None:
        return []
    named = Counter(str(name) for names in listed.values() for name in names)
    held = Counter(f"{key.namespace}/{key.name}".lstrip("/") for key in archive.items)
    if named == held:
        return []
    first = next(iter((named - held) + (held - named)))
    detail = f"the list of resources and the archive differ in {((named - held) + (held - named)).total()} objects"
    return [Finding(code="contents", detail=f"{detail}, the first: {first[:MOST_QUOTED]}")]


def check_rest(backup: StoredBackup) -> list[Finding]:
    """What nobody reads here but people or Velero will: it can be unpacked to its end."""
    findings = []
    if layout.logs_key(backup.name) not in backup.files:
        findings.append(Finding(code="missing", detail=f"{layout.logs_key(backup.name)} is not in the bucket"))
    return findings + [
        Finding(code="contents", detail=f"{key} cannot be unpacked to its end")
        for key, path in backup.files.items()
        if key.endswith(".gz") and key not in backup.read and not _unpacks(path)
    ]


def _unpacks(path: Path) -> bool:
    """Whether a gzip is whole and of a reasonable size; blocks, as small files do."""
    left = MOST_UNPACKED_BYTES
    try:
        with gzip.open(path) as stream:
            while left > 0 and (content := stream.read(CHUNK_BYTES)):
                left -= len(content)
    except (OSError, EOFError, zlib.error):
        return False
    return left > 0


def messages(part: Any) -> Iterator[str]:
    """Velero's messages in one side of its results, ``errors`` or ``warnings``: lists of lines at any depth."""
    if isinstance(part, dict):
        for inner in part.values():
            yield from messages(inner)
    elif isinstance(part, list):
        yield from (str(line).strip() for line in part)
    elif part:
        yield str(part).strip()


def _mappings(found: Any) -> list[dict[str, Any]] | None:
    """A list of objects, empty for JSON's null, which Go writes for an empty one; None for anything else."""
    if found is None:
        return []
    if isinstance(found, list) and all(isinstance(each, dict) for each in found):
        return found
    return None


def _volume_name(volume: dict[str, Any]) -> str:
    return f"{volume.get('pvcNamespace', '')}/{volume.get('pvcName') or volume.get('pvName', '')}"
