"""Port-forwards to MinIO for people who woke the stack: the Velero CLI downloads through them.

Each is held by a task of its own, and ends with the stack, with the cluster or with the service; whichever it is,
the address is withdrawn from the storage location as far as the API server still answers. A service that starts again
opens the forward anew, on another port, as soon as it has seen that a person keeps the stack up.
"""

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from types import TracebackType
from typing import Self

from app.errors import ServiceError
from app.kubernetes.client import KubeClient
from app.kubernetes.resources import STATEFUL_SETS
from app.ports import ClusterAccess
from app.settings import StackSettings
from app.velero.stack.manifests import MINIO, MINIO_PORT
from app.velero.stack.public_url import publish
from app.velero.stack.state import replicas

LOOK_SECONDS = 5.0
#: So many looks in a row without an answer mean that the cluster has gone.
MOST_FAILURES = 3
WITHDRAW_SECONDS = 2.0

logger = logging.getLogger(__name__)


class StackForwards:
    """The open forwards of this process, at most one of each instance; use as an async context manager."""

    def __init__(self) -> None:
        self._held: dict[str, asyncio.Task[None]] = {}
        self._urls: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await asyncio.gather(*(self.close(instance) for instance in list(self._held)))

    async def open(self, instance: str, access: ClusterAccess, settings: StackSettings) -> str:
        """The address of the instance's MinIO on this machine; the same one as long as it is open."""
        from app.kubernetes.port_forward import PortForward  # slow to import, as the client's transport is

        if instance not in self._urls:
            await self.close(instance)
            async with AsyncExitStack() as opening:
                kube = await opening.enter_async_context(await KubeClient.connect(access))
                port_forward = PortForward(kube, settings.namespace, MINIO, MINIO_PORT)
                self._urls[instance] = (await opening.enter_async_context(port_forward)).url
                hold = self._hold(instance, kube, settings, opening.pop_all())
                self._held[instance] = asyncio.create_task(hold, name=f"forward {instance}")
            # A task that is cancelled before it has begun would never close what it holds.
            await asyncio.sleep(0)
        return self._urls[instance]

    async def close(self, instance: str) -> None:
        """End the forward and withdraw its address; success as well when there is none."""
        self._urls.pop(instance, None)
        if task := self._held.pop(instance, None):
            task.cancel()
            await asyncio.wait({task})

    async def _hold(self, instance: str, kube: KubeClient, settings: StackSettings, opened: AsyncExitStack) -> None:
        async with opened:
            try:
                await _until_gone(kube, settings)
                logger.info("the forward to MinIO of %s ends: the stack has gone", instance)
            finally:
                self._urls.pop(instance, None)
                await _withdraw(kube, settings)


async def _until_gone(kube: KubeClient, settings: StackSettings) -> None:
    """Until MinIO has been scaled to zero or removed, whoever did it, or the cluster does not answer any more."""
    failures = 0
    while failures < MOST_FAILURES:
        await asyncio.sleep(LOOK_SECONDS)
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                minio = await kube.find(STATEFUL_SETS, MINIO, settings.namespace)
        except (ServiceError, TimeoutError):
            failures += 1
            continue
        failures = 0
        if minio is None or not replicas(minio):
            return


async def _withdraw(kube: KubeClient, settings: StackSettings) -> None:
    with suppress(ServiceError, TimeoutError):
        async with asyncio.timeout(WITHDRAW_SECONDS):
            await publish(kube, settings, None)
