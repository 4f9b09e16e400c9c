"""Whose part of a shared store it is: a small object beside the backups says which instance writes there.

Without it, two machines whose instances share a name would prune each other's backups. Velero minds only
"directories" it does not know, so a loose object is tolerated where its ``backups/`` lies.
"""

import json

from app.documents import read_json
from app.storage.errors import ForeignPrefix, ObjectNotFound
from app.storage.s3 import S3Store

OWNER_KEY = "kecs-state-owner.json"


async def claim(store: S3Store, instance_id: str, place: str) -> None:
    """Make the place this instance's; one that is its own already is success, anybody else's ``ForeignPrefix``."""
    if await refuse_foreign(store, instance_id, place):
        await store.put(OWNER_KEY, json.dumps({"instance_id": instance_id}).encode())


async def refuse_foreign(store: S3Store, instance_id: str | None, place: str) -> bool:
    """Whether the place is free. Raises ``ForeignPrefix`` if another instance owns it, or if it is in use unmarked."""
    try:
        owner = _owner(await store.get(OWNER_KEY))
    except ObjectNotFound:
        if any("/" in stored.key for stored in await store.list_objects("")):
            raise _foreign(place, "it holds objects, and nothing says whose they are", instance_id) from None
        return True
    if owner != instance_id:
        raise _foreign(place, f"it belongs to the instance with the id {owner!r}", instance_id)
    return False


def _owner(content: bytes) -> str:
    try:
        return str(read_json(content)["instance_id"])[:100]
    except (ValueError, KeyError, TypeError):
        return "unreadable"


def _foreign(place: str, why: str, instance_id: str | None) -> ForeignPrefix:
    own = json.dumps({"instance_id": instance_id or "…"})
    return ForeignPrefix(
        f"{place} cannot be used: {why}",
        remedy="Name another place with KECS_STATE_STORAGE__PREFIX. If all that lies there is this instance's own "
        f"history, say so by writing {own} into its {OWNER_KEY}.",
        place=place,
    )
