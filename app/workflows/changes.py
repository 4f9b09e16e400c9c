"""What changed between the inventory and the power-off: the part of the state that no backup holds."""

import asyncio

from app.proof.inventory import take_inventory
from app.proof.models import Inventory
from app.velero.scope import Scope
from app.workflows.outcomes import ChangedObject
from app.workflows.world import InstanceSession

#: More than this many are counted in a last line instead of listed: the list is for people.
MOST_LISTED = 200


async def list_changes_since_backup(
    session: InstanceSession, scope: Scope, inventory: Inventory
) -> list[ChangedObject]:
    """Every object that is not as it was when the backup's inventory was taken, by name; lists metadata only."""
    now = await take_inventory(await session.kube(), scope)
    return (await asyncio.to_thread(compare_inventories, inventory, now))[:MOST_LISTED]


def compare_inventories(before: Inventory, after: Inventory) -> list[ChangedObject]:
    """Added, changed and deleted objects, sorted by name; an object made anew counts as changed."""
    old = {item.key: item for item in before.items}
    new = {item.key: item for item in after.items}
    changes = [ChangedObject(change="added", object=str(key)) for key in new.keys() - old.keys()]
    changes += [ChangedObject(change="deleted", object=str(key)) for key in old.keys() - new.keys()]
    changes += [
        ChangedObject(change="changed", object=str(key))
        for key in new.keys() & old.keys()
        if (new[key].uid, new[key].resource_version) != (old[key].uid, old[key].resource_version)
    ]
    return sorted(changes, key=lambda change: change.object)
