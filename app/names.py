"""Pure rules for names: instances, clusters, backups, restores and Velero's label values."""

import hashlib
import re
from datetime import datetime

from app.errors import InvalidInstanceName

INSTANCE_NAME = re.compile(r"^[a-z0-9]([a-z0-9-]{0,43}[a-z0-9])?$")
#: Kubernetes' limit for a label value; Velero copies backup names into one.
MAX_LABEL_CHARACTERS = 63


def check_instance_name(name: str) -> str:
    """Return the name, or raise ``InvalidInstanceName`` saying the rule it breaks.

    The name becomes a path below the instances directory and part of container names, hence the strict rule;
    KECS maps names with a leading ``kecs-`` inconsistently.
    """
    if not INSTANCE_NAME.match(name):
        raise InvalidInstanceName(
            f"{name[:80]!r} is not an instance name: 1 to 45 lower-case letters, digits and '-', "
            "beginning and ending with a letter or digit",
            remedy="List the instances with GET /instances.",
        )
    if name.startswith("kecs-"):
        raise InvalidInstanceName(
            f"{name!r} begins with 'kecs-', which is the prefix of clusters, not of instances",
            remedy=f"Use {name.removeprefix('kecs-')!r}.",
        )
    return name


def cluster_name(instance: str) -> str:
    """The name of the k3d cluster that runs an instance."""
    return f"kecs-{instance}"


def backup_name(kind: str, instance: str, at: datetime) -> str:
    """``stop-backup-<instance>-<UTC yyyymmddhhmmss>`` or ``backup-<instance>-<…>``.

    ``kind`` is ``"stop-backup"`` or ``"backup"``; ``at`` is an aware UTC time.
    """
    return f"{kind}-{instance}-{at:%Y%m%d%H%M%S}"


def velero_label_value(name: str) -> str:
    """The value Velero gives a label made from ``name``.

    Longer than 63 characters, it is the first 57 and the first 6 hex digits of the SHA-256 of the whole
    (velero pkg/label/label.go).
    """
    if len(name) <= MAX_LABEL_CHARACTERS:
        return name
    return name[: MAX_LABEL_CHARACTERS - 6] + hashlib.sha256(name.encode()).hexdigest()[:6]
