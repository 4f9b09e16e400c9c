"""Steps that read and change a cluster's power, each bounded and verified."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.errors import ClusterAbsent, ClusterHalfOff, ClusterStateUnknown, InstanceNotRunning, ServiceError, StepTimeout
from app.ports import PowerState
from app.workflows.outcomes import PowerReading
from app.workflows.world import InstanceSession

#: How often a state is asked for while waiting for it to change. Asking is a local command.
POLL_SECONDS = 0.2
#: How often access is asked for while a cluster is being powered on, which may take a driver several commands.
STARTING_POLL_SECONDS = 0.5


async def read_power(session: InstanceSession) -> PowerReading:
    """The cluster's state now; raises when it is absent or cannot be told."""
    status = await session.world.clusters.state(session.instance)
    if status.state is PowerState.ABSENT:
        raise ClusterAbsent(
            f"instance {session.instance!r} has no cluster",
            remedy=f"Create it with `kecs start --instance {session.instance}`; its backups stay where they are.",
            instance_name=session.instance,
        )
    if status.state is PowerState.UNKNOWN:
        raise ClusterStateUnknown(
            f"the power driver cannot tell whether {session.instance!r} runs: {status.detail}",
            remedy="Check that the container engine answers, then try again.",
            instance_name=session.instance,
        )
    return PowerReading(state=status.state, off_epoch=status.off_epoch, detail=status.detail)


def refuse_half_off(session: InstanceSession, reading: PowerReading) -> None:
    """Raise for a cluster that is neither on nor off: somebody may be switching it at this moment."""
    if reading.state is PowerState.HALF_OFF:
        raise ClusterHalfOff(
            f"the cluster of {session.instance!r} is neither on nor off: {reading.detail}",
            remedy="If nobody is switching it now, power it off without a backup (POST "
            f'/instances/{session.instance}/stop with {{"backup": {{"mode": "skip"}}}}) and start it again.',
            instance_name=session.instance,
        )


def require_running(session: InstanceSession, reading: PowerReading) -> None:
    """Raise, with the way out, unless the cluster runs."""
    refuse_half_off(session, reading)
    if reading.state is not PowerState.RUNNING:
        raise InstanceNotRunning(
            f"instance {session.instance!r} is {reading.state}",
            remedy=f"Start it first: POST /instances/{session.instance}/start.",
            instance_name=session.instance,
        )


async def power_off(session: InstanceSession) -> None:
    """Turn the cluster off in the configured way; already off is success."""
    await session.forget_access()
    workflow = session.settings.workflow
    async with _bounded(session, "power off"):
        await session.world.clusters.stop(session.instance, drain=workflow.power_off == "drain")


async def verify_off(session: InstanceSession) -> PowerReading:
    """Wait until the driver says the cluster is off, and return that reading with its ``off_epoch``."""
    async with _bounded(session, "be off"):
        while (reading := await read_power(session)).state is not PowerState.STOPPED:
            await asyncio.sleep(POLL_SECONDS)
    return reading


@asynccontextmanager
async def powering_on(session: InstanceSession) -> AsyncIterator[asyncio.Task[None]]:
    """Turn the cluster on beside what is done with it meanwhile; already on is success.

    Each attempt does so, as an earlier one may have been ended in the midst of it. Whatever fails inside, the cluster
    is whole at the end; only a cancelled attempt ends the driver's power-on as well.
    """
    starting = asyncio.create_task(_start(session))
    try:
        yield starting
    except ServiceError:
        await asyncio.wait({starting})
        raise
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _start(session: InstanceSession) -> None:
    async with _bounded(session, "power on"):
        await session.world.clusters.start(session.instance)


async def power_on(session: InstanceSession, starting: asyncio.Task[None]) -> None:
    """Wait until the API server answers, or the driver is done, which k3d is some eight seconds later."""
    while not starting.done() and not await _answers_already(session):
        await asyncio.wait({starting}, timeout=STARTING_POLL_SECONDS)
    if starting.done():
        await starting


async def finish_power_on(starting: asyncio.Task[None]) -> None:
    """Wait until the driver is done, too. Its success proves nothing of the API, see ``wait_for_api``."""
    await starting


async def _answers_already(session: InstanceSession) -> bool:
    """Whether a cluster that is being powered on can be used; that there is no access yet says nothing."""
    with suppress(ServiceError):
        if await (await session.kube()).ready():
            return True
    await session.forget_access()
    return False


async def wait_for_api(session: InstanceSession) -> None:
    """Wait until the API server answers ``/readyz`` on fresh access."""
    seconds = session.settings.workflow.api_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            while not await (await session.kube()).ready():
                await session.forget_access()
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        raise StepTimeout(
            f"the API server of {session.instance!r} did not answer within {seconds:g} s",
            remedy="Look at the cluster's own log, then start the instance again.",
            instance_name=session.instance,
        ) from None


@asynccontextmanager
async def _bounded(session: InstanceSession, what: str) -> AsyncIterator[None]:
    """A deadline on a power command that says what did not happen."""
    seconds = session.settings.workflow.power_timeout_seconds
    try:
        async with asyncio.timeout(seconds):
            yield
    except TimeoutError:
        raise StepTimeout(
            f"the cluster of {session.instance!r} did not {what} within {seconds:g} s", instance_name=session.instance
        ) from None
