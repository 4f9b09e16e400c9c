"""What must hold whenever no job is active: kecs-server has its replicas back, and the stack sleeps.

Unless a person has woken it: then its MinIO can be reached from this machine. Or a job has just ended and the settings
let the stack linger.
"""

import asyncio

from app.jobs.journal import age_seconds
from app.ports import PowerState
from app.workflows.kecs_server import release_kecs_server
from app.workflows.stack import is_kept_up_by_user, open_forward, sleep_stack
from app.workflows.world import InstanceSession, World

#: A quiet instance is set right within this time or tried again later; jobs wait for it meanwhile.
TIMEOUT_SECONDS = 30


async def settle(world: World, instance: str) -> float:
    """Bring a running instance to rest; called by the reconciler, which holds the instance's slot.

    Gives the seconds after which it is to be done again, 0 for never.
    """
    status = await world.clusters.state(instance)
    if status.state is not PowerState.RUNNING:
        await world.forwards.close(instance)
        return 0
    async with asyncio.timeout(TIMEOUT_SECONDS), InstanceSession(world, instance) as session:
        await release_kecs_server(session)
        if lingering := await _lingering_seconds(world, instance):
            return lingering
        if not await sleep_stack(session) and await is_kept_up_by_user(session):
            await open_forward(session)
    return 0


async def _lingering_seconds(world: World, instance: str) -> float:
    """How long the stack may still stay up for a next job."""
    if not world.settings.stack.linger_seconds:
        return 0
    jobs = await world.store.list_jobs(instance=instance, limit=1)
    ended = jobs[0].finished_at if jobs else None
    return max(0.0, world.settings.stack.linger_seconds - age_seconds(ended)) if ended else 0.0
