"""What must hold whenever no job is active: kecs-server has its replicas back, and the stack sleeps.

Unless a person has woken it: then its MinIO can be reached from this machine.
"""

import asyncio

from app.ports import PowerState
from app.workflows.kecs_server import release_kecs_server
from app.workflows.stack import is_kept_up_by_user, open_forward, sleep_stack
from app.workflows.world import InstanceSession, World

#: A quiet instance is set right within this time or tried again later; jobs wait for it meanwhile.
TIMEOUT_SECONDS = 30


async def settle(world: World, instance: str) -> None:
    """Bring a running instance to rest; called by the reconciler, which holds the instance's slot."""
    status = await world.clusters.state(instance)
    if status.state is not PowerState.RUNNING:
        await world.forwards.close(instance)
        return
    async with asyncio.timeout(TIMEOUT_SECONDS), InstanceSession(world, instance) as session:
        await release_kecs_server(session)
        if not await sleep_stack(session) and await is_kept_up_by_user(session):
            await open_forward(session)
