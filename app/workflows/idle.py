"""What must hold whenever no job is active: kecs-server has its replicas back, and the stack sleeps."""

import asyncio

from app.ports import PowerState
from app.workflows.kecs_server import release_kecs_server
from app.workflows.stack import sleep_stack
from app.workflows.world import InstanceSession, World

#: A quiet instance is set right within this time or tried again later; jobs wait for it meanwhile.
TIMEOUT_SECONDS = 30


async def settle(world: World, instance: str) -> None:
    """Bring a running instance to rest; called by the reconciler, which holds the instance's slot."""
    status = await world.clusters.state(instance)
    if status.state is not PowerState.RUNNING:
        return
    async with asyncio.timeout(TIMEOUT_SECONDS), InstanceSession(world, instance) as session:
        await release_kecs_server(session)
        await sleep_stack(session)
