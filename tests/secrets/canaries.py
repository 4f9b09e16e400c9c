"""Secrets that are recognised wherever they turn up, and the places that may hold one because that is their job."""

import base64
import gzip
import secrets
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import quote


def new_canary() -> str:
    """Like nothing else, and different when it is written in a URL."""
    return f"can@ry/{secrets.token_hex(12)}"


def forms(secret: str) -> set[bytes]:
    """A secret in clear and as it is written in URLs, in hex and, wherever it begins, in base64."""
    raw = secret.encode()
    found = {raw, quote(secret, safe="").encode(), quote(secret).encode(), raw.hex().encode()}
    for before in range(3):
        # Of the first and last characters of base64, some bits belong to the neighbours.
        encoded = base64.b64encode(b"\0" * before + raw)[(before * 8 + 5) // 6 : (before + len(raw)) * 8 // 6]
        found |= {encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))}
    return {form for form in found if len(form) > 12}


def found_in(content: bytes, canaries: dict[str, str]) -> set[str]:
    """The names of the secrets that a text holds in any form; what is packed is unpacked first."""
    if content[:2] == b"\x1f\x8b":
        try:
            content = gzip.decompress(content)
        except (OSError, EOFError, zlib.error):
            return {"unreadable"}
    return {name for name, secret in canaries.items() if any(form in content for form in forms(secret))}


@dataclass(frozen=True)
class Place:
    """Files whose job it is to hold a secret."""

    path: str
    """Below the state directory; * stands for anything."""
    holds: frozenset[str]
    reason: str
    mode: int | None = 0o600
    """None: not made by the service."""


PLACES = (
    Place(
        "instances/*/velero-config/credentials",
        frozenset({"MinIO access key", "MinIO secret key"}),
        "the keys of the instance's MinIO, which Velero reads in this form",
    ),
    Place(
        "instances/*/velero-config/repository-password",
        frozenset({"repository password"}),
        "kopia's password of the volume repositories",
    ),
    Place("state/webhook-secret", frozenset({"callback secret"}), "callbacks are signed with it"),
    Place(
        "state/state.db*",
        frozenset({"webhook secret", "webhook password", "callback password"}),
        "messages are signed with the one and sent with the others, after a restart too",
    ),
    Place(
        "instances/*/data/minio-data/*",
        frozenset({"Secret of the cluster", "repository password", "MinIO access key", "MinIO secret key"}),
        "the backups hold every object of the cluster (docs/security.md)",
        mode=None,
    ),
    Place(
        "clusters/*",
        frozenset({"Secret of the cluster", "kubeconfig token", "repository password", "MinIO access key",
                   "MinIO secret key"}),
        "the sandbox's clusters themselves: etcd, kubeconfig, the S3 server's own configuration",
        mode=None,
    ),
)  # fmt: skip


def leaks(directory: Path, canaries: dict[str, str]) -> Iterator[str]:
    """Every file below the directory that holds a secret and is not the place for it."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and not path.is_symlink():
            below = str(path.relative_to(directory))
            allowed = {name for place in PLACES if fnmatch(below, place.path) for name in place.holds}
            for name in sorted(found_in(path.read_bytes(), canaries) - allowed):
                yield f"{below}: {name}"
